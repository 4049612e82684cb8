"""What every tier of the tests shares: a real Postgres, migrated databases, the recordings."""

import asyncio
import os
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import hypothesis
import pytest

from core_ingest.store.migrate import migrate
from ingress_runtime.settings import load
from ingress_testbed.servers.postgres import running_postgres
from ingress_testbed.servers.settings import TestbedSettings

ROOT = Path(__file__).parents[1]
T = TypeVar("T")

# Nothing here makes the server less durable than a real one: only roomier and quieter.
SERVER_CONFIGURATION = {
    "max_connections": "200",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "log_checkpoints": "off",
}

hypothesis.settings.register_profile("local", deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    "ci", deadline=None, print_blob=True, derandomize=True, database=None
)
hypothesis.settings.register_profile("nightly", deadline=None, print_blob=True)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "local")
)


NIGHTLY_ROUNDS = 100


def pytest_configure(config: pytest.Config) -> None:
    """Register what is ours."""
    config.addinivalue_line(
        "markers",
        "hostile: bad input by the ten thousand, and a hundred times that by night "
        "(HYPOTHESIS_PROFILE=nightly)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat hostile tests by night: in rounds, since Hypothesis remembers all of one's examples."""
    if metafunc.definition.get_closest_marker("hostile") is None:
        return
    if hypothesis.settings.get_current_profile_name() == "nightly":
        metafunc.fixturenames.append("round_")
        metafunc.parametrize("round_", range(NIGHTLY_ROUNDS), ids="round{:02}".format)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server of this worker's own, database `postgres`; see running_postgres for the choice."""
    with (
        tempfile.TemporaryDirectory(prefix="ingress-tests-") as directory,
        running_postgres(Path(directory), configuration=SERVER_CONFIGURATION) as server,
    ):
        yield server.url


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to, to copy from."""
    with _database(postgres_url, template="template1") as name:
        _run(migrate(_with_database(postgres_url, name)))
        yield name


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A fresh migrated database."""
    with _database(postgres_url, template=migrated_template) as name:
        yield _with_database(postgres_url, name)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The directory of the real recordings (INGRESS_RECORDINGS, else ../shared/data)."""
    (settings,) = load(TestbedSettings)
    directory = settings.recordings or ROOT.parent / "shared" / "data"
    if not (directory / "viriciti-bus-day.jsonl.gz").is_file():
        message = f"no recordings in {directory}: set INGRESS_RECORDINGS to their directory"
        if os.environ.get("CI_REQUIRE_RECORDINGS") == "1":
            pytest.fail(f"{message} (CI_REQUIRE_RECORDINGS=1)")
        pytest.skip(message)
    return directory


@contextmanager
def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    _run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield name
    finally:
        _run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run(work: Coroutine[None, None, T]) -> T:
    with asyncio.Runner() as runner:
        return runner.run(work)


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
