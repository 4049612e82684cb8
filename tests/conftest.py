"""What every tier of the tests shares: a Postgres, migrated databases, a Kafka, the recordings."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import hypothesis
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import NewTopic

from core_ingest.store.migrate import migrate
from ingress_runtime.settings import load
from ingress_testbed.servers.errors import NoServerError
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka
from ingress_testbed.servers.postgres import running_postgres
from ingress_testbed.servers.settings import TestbedSettings
from tests.topics import make_topics

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
    config.addinivalue_line(
        "markers",
        "broker: uses the fixture `kafka`; set by itself, so that make test-kafka finds these too",
    )
    config.addinivalue_line(
        "markers",
        "capability(*names): needs the broker of the fixture `kafka` to be capable of these "
        "(ingress_testbed.servers.capabilities)",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what uses a broker."""
    if "kafka" in getattr(item, "fixturenames", ()) or item.get_closest_marker("capability"):
        item.add_marker("broker")


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
def own_database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A migrated database for something that serves many tests: each must keep to its workspace."""
    with _database(postgres_url, template=migrated_template) as name:
        yield _with_database(postgres_url, name)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One broker of this worker's own; see running_kafka for the choice.

    A test that hurts it must mend it, or better start one of its own.
    """
    (settings,) = load(TestbedSettings)
    directory = tmp_path_factory.mktemp("kafka")
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(running_kafka(directory))
        except NoServerError as error:
            if settings.testbed_kafka in {"auto", "embedded"}:
                pytest.skip(error.message)
            pytest.fail(error.message, pytrace=False)
        yield cluster


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    """The name of a fresh topic of three partitions."""
    name = f"test-{uuid4().hex}"
    _run(make_topics(kafka.bootstrap, NewTopic(name, 3, replication_factor=1)))
    return name


@pytest.fixture
def read_topic(kafka: KafkaCluster) -> Callable[[str, int], Awaitable[list[ConsumerRecord]]]:
    """Read so many records of a topic with a bare consumer, each partition in its order."""

    async def read(topic: str, count: int) -> list[ConsumerRecord]:
        found: list[ConsumerRecord] = []
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", group_id=None
        )
        async with asyncio.timeout(60), consumer:
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    found += records
        return found

    return read


@pytest.fixture(autouse=True)
def _capable(request: pytest.FixtureRequest) -> None:
    """Skip where the broker cannot do what the test's marker `capability` asks for."""
    needed = {name for mark in request.node.iter_markers("capability") for name in mark.args}
    if needed:
        cluster: KafkaCluster = request.getfixturevalue("kafka")
        if missing := needed - cluster.capabilities:
            pytest.skip(f"{cluster.description} lacks {', '.join(sorted(missing))}")


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
