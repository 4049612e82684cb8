"""What makes secrets, keys and the fleet of docker-compose.yml: once, and whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.compose.composition import ROOT

pytestmark = pytest.mark.trials


class Shell:
    """Runs the scripts of ops/compose, with the database that it is given."""

    def __init__(self, database_url: str) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environ = {"PATH": path, "INGRESS_DATABASE_URL": database_url}

    def runs(self, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(ROOT / "ops" / "compose" / script), *map(str, arguments)]
        return subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False
        )


@pytest.fixture
def directories(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "one", tmp_path / "other"
    for directory in made:
        directory.mkdir()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_password_is_made_once_and_is_no_other_the_next_time(
    directories: tuple[Path, Path], tmp_path: Path
) -> None:
    database, core = directories
    shell = Shell("")
    assert shell.runs("secrets.sh", database, core).returncode == 0
    password = (database / "password").read_text()
    assert (core / "pgpass").read_text() == f"*:*:*:ingress:{password}"
    assert len(password.strip()) == 64
    assert (mode(core / "pgpass"), mode(database / "password")) == (0o600, 0o644)

    assert shell.runs("secrets.sh", database, core).returncode == 0
    assert (database / "password").read_text() == password

    assert shell.runs("secrets.sh", tmp_path, core).returncode == 0  # the volumes of another stack
    assert (tmp_path / "password").read_text() != password


def test_an_interrupted_start_leaves_no_half_password(directories: tuple[Path, Path]) -> None:
    database, core = directories
    (core / "pgpass").write_text("*:*:*:ingress:of-the-start-that-was-interrupted\n")
    assert Shell("").runs("secrets.sh", database, core).returncode == 0
    assert (core / "pgpass").read_text().endswith((database / "password").read_text())


def test_keys_are_made_once_and_again_where_core_no_longer_takes_them(
    directories: tuple[Path, Path], database_url: str
) -> None:
    edge, operator = directories
    shell = Shell(database_url)
    made = shell.runs("keys.sh", "acme", "edge-1", edge, operator)
    assert made.returncode == 0, made.stderr
    ingest, read = (edge / "ingest.key").read_text(), (operator / "read.key").read_text()
    assert ingest.startswith("ik_")
    assert read.startswith("ik_")
    assert not [key for key in (ingest, read) if key.strip() in made.stdout + made.stderr]
    assert mode(edge / "ingest.key") == mode(operator / "read.key") == 0o600

    subprocess.run(
        ["ingress", "keys", "revoke", read.split("_")[1]],  # noqa: S607 — on the PATH given
        env=shell.environ,
        check=True,
        capture_output=True,
    )
    (edge / "ingest.key.new").write_text("")  # what an interrupted start leaves
    assert shell.runs("keys.sh", "acme", "edge-1", edge, operator).returncode == 0
    assert (edge / "ingest.key").read_text() == ingest
    assert (operator / "read.key").read_text() not in {read, ""}


def test_without_a_database_no_key_is_written_and_the_reason_is_said(
    directories: tuple[Path, Path],
) -> None:
    edge, operator = directories
    done = Shell("postgresql://core@127.0.0.1:1/core").runs("keys.sh", "acme", "e", edge, operator)
    assert done.returncode != 0
    assert "the database cannot be reached" in done.stderr
    assert [*edge.iterdir(), *operator.iterdir()] == []


def test_a_fleet_is_recorded_once(tmp_path: Path) -> None:
    shell, file = Shell(""), tmp_path / "buses.jsonl.gz"
    assert shell.runs("fleet.sh", file, "0.05").returncode == 0
    recorded = file.read_bytes()
    assert recorded
    again = shell.runs("fleet.sh", file, "24")
    assert (again.returncode, file.read_bytes()) == (0, recorded)
    assert "there already" in again.stdout


def test_a_fleet_of_no_hours_is_no_file(tmp_path: Path) -> None:
    done = Shell("").runs("fleet.sh", tmp_path / "buses.jsonl.gz", "never")
    assert done.returncode != 0
    assert "--hours" in done.stderr
    assert list(tmp_path.iterdir()) == []
