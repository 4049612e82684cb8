import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from pydantic import SecretStr

from ingress_testbed.servers.account import unprivileged
from ingress_testbed.servers.errors import NoServerError, ServerFailedError
from ingress_testbed.servers.installation import find_embedded
from ingress_testbed.servers.postgres import OwnPostgres, running_postgres
from ingress_testbed.servers.settings import TestbedSettings

pytestmark = pytest.mark.anyio

NO_ADDRESS = TestbedSettings()
KILLED = """
import os, signal, sys
from pathlib import Path
from ingress_testbed.servers.postgres import running_postgres
with running_postgres(Path(sys.argv[1]), "embedded") as server:
    print(server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every user can get to, unlike pytest's own below a root's home."""
    with tempfile.TemporaryDirectory(prefix="ingress-postgres-") as path:
        yield Path(path)


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_the_embedded_server_is_as_durable_as_shipped_and_keeps_to_its_directory(
    directory: Path,
) -> None:
    with running_postgres(directory, "embedded") as server:
        assert isinstance(server, OwnPostgres)
        assert server.description.startswith("Postgres 18.")
        settings = {
            name: await ask(server.url, f"SHOW {name}")
            for name in (
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "listen_addresses",
                "unix_socket_directories",
                "server_encoding",
            )
        }
        collation = await ask(server.url, "SELECT datcollate FROM pg_database LIMIT 1")
        pid = server.pid
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "server_encoding": "UTF8",
    }
    assert collation == "C"
    assert not psutil.pid_exists(pid)
    assert [path.name for path in (directory / "postgres").iterdir()] == ["server.log"]


async def test_a_server_keeps_its_data_and_its_port_over_a_restart(directory: Path) -> None:
    with running_postgres(directory, "embedded", configuration={"work_mem": "7MB"}) as server:
        assert isinstance(server, OwnPostgres)
        url = server.url
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        server.stop()
        with pytest.raises(OSError, match=r"refused|Connect"):
            await asyncpg.connect(url)
        server.start()
        assert server.url == url
        assert await ask(url, "SELECT answer FROM kept") == 42
        assert await ask(url, "SHOW work_mem") == "7MB"


def test_the_server_stops_when_the_process_that_started_it_is_killed(directory: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(directory)], stdout=subprocess.PIPE
    ) as killed:
        assert killed.stdout is not None
        postmaster = psutil.Process(int(killed.stdout.readline()))
    psutil.wait_procs([postmaster], timeout=30)
    assert not postmaster.is_running()


def test_an_address_is_taken_before_anything_is_started(directory: Path) -> None:
    settings = TestbedSettings(database_url=SecretStr("postgresql://elsewhere/db"))
    with running_postgres(directory, settings=settings) as server:
        assert server.url == "postgresql://elsewhere/db"
    assert list(directory.iterdir()) == []


def test_an_address_that_is_asked_for_must_be_set(directory: Path) -> None:
    with (
        pytest.raises(NoServerError, match="INGRESS_DATABASE_URL is not set"),
        running_postgres(directory, "address", settings=NO_ADDRESS),
    ):
        pass


def test_a_server_that_does_not_start_shows_the_end_of_its_log(directory: Path) -> None:
    with (
        pytest.raises(ServerFailedError, match="nonsense"),
        running_postgres(directory, "embedded", configuration={"nonsense": "1"}),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must start servers as somebody else")
def test_root_learns_that_the_directory_is_out_of_the_servers_reach(directory: Path) -> None:
    (directory / "closed").mkdir(mode=0o700)
    with (
        pytest.raises(ServerFailedError, match="choose a directory that it can reach"),
        running_postgres(directory / "closed" / "run", "embedded"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must start servers as somebody else")
async def test_binaries_out_of_reach_are_copied_and_work(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = unprivileged()
    assert account is not None
    monkeypatch.setattr(type(account), "can_reach", lambda _self, path: "binaries" in path.parts)
    account.let_in(directory)
    found = find_embedded(account, directory)
    assert found.binaries.is_relative_to(directory)
    server = OwnPostgres(found, directory, account)
    server.create()
    server.start()
    try:
        assert await ask(server.url, "SELECT 1") == 1
    finally:
        server.stop()
