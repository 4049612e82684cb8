"""Fixtures of the edge: a door to send to, a journal, a provider to read from."""

import importlib.util
import socket
import sys
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from websockets.asyncio.server import ServerConnection

from ingress_runtime.kafka.producer import Producer
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.servers.kafka import KafkaCluster
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.limits import Limits
from telematics_publisher.records import Lane, Record, provider_lane
from telematics_publisher.transports.kafka import KafkaTransport
from tests.integration.publisher.edge import SECRETS, Edge
from tests.integration.publisher.traffic import Make

if TYPE_CHECKING:
    from tests.integration.publisher.door import Door, Request
    from tests.integration.publisher.provider_server import ProviderServer


def _load(name: str) -> ModuleType:
    """Import a helper that lies beside the tests: they are no package."""
    module = f"publisher_tests_{name}"
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            module, Path(__file__).with_name(f"{name}.py")
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return sys.modules[module]


@pytest.fixture(scope="session")
def doors() -> Any:
    """The module door.py: Reply, accept."""
    return _load("door")


@pytest.fixture(scope="session")
def provider_servers() -> Any:
    """The module provider_server.py."""
    return _load("provider_server")


@pytest.fixture
async def door(anyio_backend: str, doors: Any) -> AsyncIterator["Door"]:  # noqa: ARG001 — makes the fixture asynchronous
    server: Door = doors.Door()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def journal(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Journal]:  # noqa: ARG001 — likewise
    opened = await Journal.open(
        tmp_path / "acme.journal", workspace="acme", publisher="edge-1", limits=Limits(2**30)
    )
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def lane() -> Lane:
    return provider_lane("viriciti", "/viriciti/acme/buses", timestamped=True)


@pytest.fixture(scope="session")
def frames(lane: Lane) -> Callable[[int], list[Record]]:
    """Makes that many records."""

    def make(count: int) -> list[Record]:
        return [
            Record(lane, 1_700_000_000_000_000 + at, "arcc_004", b"%d" % at) for at in range(count)
        ]

    return make


@pytest.fixture
async def provider(
    anyio_backend: str,  # noqa: ARG001 — likewise
    provider_servers: Any,
) -> AsyncIterator["ProviderServer"]:
    server: ProviderServer = provider_servers.ProviderServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def core(door: "Door", doors: Any) -> "Door":
    """A door that answers as core does: ready, and with a refusal that stores nothing."""

    def reply(request: "Request") -> Any:
        headers = {"date": formatdate(usegmt=True)}
        if request.path == "/readyz":
            return doors.Reply(200, b'{"ready":true}', headers)
        answer = doors.accept(request, refused=[0], reason="unreadable_body")
        return doors.Reply(200, answer.body, headers)

    door.reply = reply
    return door


@pytest.fixture
def edge(
    tmp_path: Path, core: "Door", provider: "ProviderServer", monkeypatch: pytest.MonkeyPatch
) -> Edge:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return Edge(tmp_path, core, provider)


@pytest.fixture
def driving(provider: "ProviderServer", provider_servers: Any) -> None:
    """Let the provider send five frames."""

    async def drive(socket: ServerConnection) -> None:
        for number in range(5):
            await socket.send(provider_servers.frame(number))
        await socket.wait_closed()

    provider.behaviours = [drive]


@pytest.fixture
async def make(anyio_backend: str, kafka: KafkaCluster, topic: str) -> AsyncIterator[Make]:  # noqa: ARG001 — makes the fixture asynchronous
    producers = []

    def made(*, deadline: float = 30.0, **settings: Any) -> KafkaTransport:
        given = KafkaSettings(**{"bootstrap": kafka.bootstrap, "topic": topic, **settings})
        producers.append(Producer(given, deadline=deadline))
        return KafkaTransport(producers[-1], given.topic, workspace="acme")

    yield made
    for producer in producers:
        await producer.stop()


@pytest.fixture
async def admin(anyio_backend: str, kafka: KafkaCluster) -> AsyncIterator[AIOKafkaAdminClient]:  # noqa: ARG001 — likewise
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def unused_address() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"
