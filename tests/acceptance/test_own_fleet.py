"""The README's "Your own fleet", up to the start of the publisher: each command as it is typed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from ingress_runtime.cli import main

STREAMS = """
[workspaces.acme]
publisher = "{publisher}"
api_key = {{ env = "ACME_INGEST_KEY" }}

[[streams]]
name = "buses"
workspace = "acme"
provider = "viriciti"
credential = {{ env = "VIRICITI_API_KEY" }}
url = "{url}"

[streams.vehicles]
bus-0001 = ["gps", "speed", "odo", "soc", "power"]
"""
INGRESS = (sys.executable, "-c", "from ingress_runtime.cli import main; main()")


class Stranger:
    """Types commands in one directory, with what was exported before."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        self.directory = directory
        self.environ = environ

    def types(self, *arguments: str, **exported: str) -> tuple[int, str]:
        """Return the exit code and what was printed on stdout."""
        result = CliRunner().invoke(main, arguments, env={**self.environ, **exported})
        return result.exit_code, result.stdout

    def key(self, *arguments: str) -> dict[str, str]:
        code, printed = self.types("keys", "create", "--workspace", "acme", "--json", *arguments)
        assert code == 0
        made: dict[str, str] = json.loads(printed)
        return made

    def findings(self, *arguments: str, **exported: str) -> dict[str, Any]:
        """Type a command that examines, and return what it found, by subject."""
        code, printed = self.types(*arguments, "--json", **exported)
        document = json.loads(printed)
        assert (code == 0) is document["well"]
        return {one["subject"]: one for one in document["findings"]}

    @contextmanager
    def another_shell(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Run a command that stays in the foreground."""
        with subprocess.Popen(
            [*INGRESS, *arguments],
            cwd=self.directory,
            env={"PATH": "/usr/bin:/bin", **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()


@pytest.fixture
def stranger(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    monkeypatch.chdir(tmp_path)
    return Stranger(tmp_path, {"INGRESS_DATABASE_URL": database_url, "CORE_API_PORT": "0"})


@pytest.fixture
def core(stranger: Stranger) -> Iterator[str]:
    """Keys are made and core runs; its URL."""
    with stranger.another_shell("api") as process:
        assert process.stderr is not None
        listening = process.stderr.readline()
        assert "api_listening" in listening
        port = listening.rpartition("port=")[2].strip()
        stranger.environ["CORE_API_PORT"] = port
        stranger.environ["INGRESS_API_URL"] = f"http://127.0.0.1:{port}"
        yield stranger.environ["INGRESS_API_URL"]


@pytest.fixture
def provider(stranger: Stranger) -> Iterator[str]:
    """A simulated fleet; its URL."""
    assert (
        stranger.types("fleet", "record", "day.jsonl.gz", "--vehicles", "1", "--hours", "24")[0]
        == 0
    )
    arguments = ("simulator", "--replay", "day.jsonl.gz", "--speed", "max", "--port", "0")
    with stranger.another_shell(*arguments) as process:
        assert process.stdout is not None
        stranger.environ["VIRICITI_API_KEY"] = "simulated"
        yield process.stdout.readline().strip()


def write_streams(stranger: Stranger, url: str, publisher: str = "edge-1") -> None:
    text = STREAMS.format(url=url, publisher=publisher)
    (stranger.directory / "streams.toml").write_text(text)


@pytest.mark.trials
def test_a_stranger_gets_from_keys_to_three_frames(
    stranger: Stranger, core: str, provider: str
) -> None:
    ingest = stranger.key("--role", "ingest", "--publisher", "edge-1")
    read = stranger.key("--role", "read")
    write_streams(stranger, provider)
    stranger.environ["ACME_INGEST_KEY"] = ingest["key"]

    checked = stranger.findings("publisher", "check")
    assert {one["level"] for one in checked.values()} == {"ok"}, checked
    assert checked["core"]["found"] == f"{core} is ready"
    assert len(checked["stream buses of acme"]["details"]) == 3

    examined = stranger.findings("doctor")
    assert {one["level"] for one in examined.values()} == {"ok"}, examined
    assert examined["keys"]["details"] == [
        f"{ingest['id']}  ingest  acme, publisher edge-1",
        f"{read['id']}  read  acme",
    ]
    assert {"database", "schema", "clock", "api", "provider viriciti"} <= examined.keys()

    foreign = stranger.findings("publisher", "check", ACME_INGEST_KEY=read["key"])
    assert "role read cannot send" in foreign["key of acme"]["found"]

    write_streams(stranger, provider, publisher="edge-2")
    other = stranger.findings("publisher", "check")
    assert "for another publisher than edge-2" in other["key of acme"]["found"]

    assert stranger.types("keys", "revoke", ingest["id"])[0] == 0
    examined = stranger.findings("doctor")
    assert examined["keys"]["found"] == "none is valid of role ingest"

    code, accounting = _nothing_was_stored(stranger, read["key"])
    assert (code, accounting["received"], accounting["publishers"]) == (200, 0, [])


def _nothing_was_stored(stranger: Stranger, key: str) -> tuple[int, Any]:
    answer = httpx.get(
        f"{stranger.environ['INGRESS_API_URL']}/v1/workspaces/acme/accounting",
        headers={"x-api-key": key},
    )
    return answer.status_code, answer.json()


def test_the_doctor_of_a_core_that_is_not_prepared_says_what_to_run(
    stranger: Stranger, postgres_url: str
) -> None:
    found = stranger.findings("doctor", INGRESS_DATABASE_URL=postgres_url, CORE_API_PORT="1")
    assert found["schema"]["level"] == "fail"
    assert found["schema"]["remedy"] == "ingress migrate"
    assert found["api"]["remedy"] == "Start it: ingress api"


def test_the_doctor_says_that_the_database_is_away_without_its_password(stranger: Stranger) -> None:
    url = "postgresql://core:hunter2-database@127.0.0.1:1/core"
    code, printed = stranger.types("doctor", INGRESS_DATABASE_URL=url)
    assert code == 1
    assert "fail  database: the database cannot be reached" in printed
    assert "hunter2" not in printed


def test_the_doctor_warns_of_a_pool_that_is_too_small(stranger: Stranger) -> None:
    found = stranger.findings("doctor", INGRESS_DATABASE_POOL_SIZE="2")
    assert found["connections"]["level"] == "fail"
    assert "CORE_API_READ_CONNECTIONS" in found["connections"]["remedy"]
