"""Peers: for each transport, the other side, played by a real server."""

import importlib.util
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest
from aiokafka.admin import NewTopic
from pydantic import SecretStr

from ingress_contracts.envelope import Envelope
from ingress_contracts.kafka import decode
from ingress_runtime.kafka.producer import Producer
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster
from telematics_publisher.transport import Transport
from telematics_publisher.transports.http import HttpTransport
from telematics_publisher.transports.kafka import KafkaTransport
from tests.topics import make_topics

_DOOR = Path(__file__).parents[2] / "integration" / "publisher" / "door.py"


class Peer(Protocol):
    """The other side of a transport, as the contract suite directs it.

    What it cannot do skips the test.
    """

    transport: Transport

    async def received(self, count: int) -> list[Envelope]:
        """Return what is durable over there once it is `count`, in order of arrival."""
        ...

    async def ways_taken(self) -> set[str]:
        """Return the doors, with the number of the partition, by which that has come."""
        ...

    def refuse(self, *indexes: int) -> None:
        """Refuse these envelopes of the next batch for themselves."""
        ...

    def refuse_batch(self) -> None:
        """Refuse the next batch for its size."""
        ...

    def forbid(self) -> None:
        """Refuse the credential from now on."""
        ...

    def overload(self) -> None:
        """Ask for patience, once."""
        ...

    def swallow_answer(self) -> None:
        """Take the next batch, but let its answer be lost."""
        ...

    def be_silent(self) -> None:
        """Answer nothing from now on."""
        ...

    async def leave(self) -> None:
        """Be unreachable from now on."""
        ...


class HttpPeer:
    def __init__(self, doors: Any, door: Any) -> None:
        self._doors = doors
        self._door = door
        self.transport: Transport = HttpTransport(door.url, SecretStr("key"), deadline=0.5)

    async def received(self, count: int) -> list[Envelope]:
        accepted: list[Envelope] = self._door.accepted
        assert len(accepted) == count
        return accepted

    async def ways_taken(self) -> set[str]:
        return {"http/0"}

    def refuse(self, *indexes: int) -> None:
        self._door.script.append(lambda request: self._doors.accept(request, indexes))

    def refuse_batch(self) -> None:
        self._door.script.append(lambda _: self._doors.Reply(413))

    def forbid(self) -> None:
        self._door.reply = lambda _: self._doors.Reply(401)

    def overload(self) -> None:
        headers = {"retry-after": "1.5"}
        self._door.script.append(lambda _: self._doors.Reply(503, headers=headers))

    def swallow_answer(self) -> None:
        def swallow(request: Any) -> Any:
            self._door.accepted += request.envelopes
            return self._doors.Reply(None)

        self._door.script.append(swallow)

    def be_silent(self) -> None:
        self._door.reply = lambda _: self._doors.Reply(late=self._doors.asyncio.Event())

    async def leave(self) -> None:
        await self._door.stop()


class KafkaPeer:
    """A real broker, and the topic `topic`; `small` is one that takes tiny batches only."""

    def __init__(self, cluster: KafkaCluster, topic: str, small: str, read: Any) -> None:
        self._cluster = cluster
        self._topic = topic
        self._small = small
        self._read = read
        self._producers: list[Producer] = []
        self._hung = False
        self.transport: Transport = self._made(topic=topic)

    def _made(self, *, topic: str, deadline: float = 30.0, **settings: Any) -> KafkaTransport:
        given = {"bootstrap": self._cluster.bootstrap, "topic": topic, **settings}
        producer = Producer(KafkaSettings(**given), deadline=deadline)
        self._producers.append(producer)
        return KafkaTransport(producer, topic, workspace="acme")

    async def received(self, count: int) -> list[Envelope]:
        return [
            decode(record.headers, record.value, record.key)
            for record in await self._read(self._topic, count)
        ]

    async def ways_taken(self) -> set[str]:
        records = await self._read(self._topic, 3)
        return {f"kafka/{record.partition}" for record in records}

    def refuse(self, *indexes: int) -> None:
        pytest.skip(f"Kafka refuses batches, not records {indexes} of one")

    def refuse_batch(self) -> None:
        if Capability.LIMITS_BATCHES not in self._cluster.capabilities:
            pytest.skip("the broker takes batches of any size")
        self.transport = self._made(topic=self._small)

    def forbid(self) -> None:
        self.transport = self._made(
            topic=self._topic,
            security_protocol="SASL_PLAINTEXT",
            sasl_username="edge",
            sasl_password=SecretStr("wrong"),
        )

    def overload(self) -> None:
        pytest.skip("Kafka slows a producer down by itself, and asks it for nothing")

    def swallow_answer(self) -> None:
        pytest.skip("an answer cannot be lost between a broker and its own address")

    def be_silent(self) -> None:
        if Capability.OWN_PROCESS not in self._cluster.capabilities:
            pytest.skip("the broker is not ours to hang")
        self._cluster.brokers[0].hang()
        self._hung = True
        self.transport = self._made(topic=self._topic, deadline=1.0)

    async def leave(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            nobody = f"127.0.0.1:{unused.getsockname()[1]}"
        self.transport = self._made(topic=self._topic, bootstrap=nobody)

    async def end(self) -> None:
        if self._hung:
            self._cluster.brokers[0].resume()
        for producer in self._producers:
            await producer.stop()


@pytest.fixture(params=["http", pytest.param("kafka", marks=pytest.mark.broker)])
async def peer(anyio_backend: str, request: pytest.FixtureRequest) -> AsyncIterator[Peer]:  # noqa: ARG001 — makes the fixture asynchronous
    """Each transport joins the suite with a peer of its own here."""
    play = {"http": http_peer, "kafka": kafka_peer}[request.param]
    async with play(request) as played:
        yield played


@asynccontextmanager
async def http_peer(_request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    spec = importlib.util.spec_from_file_location("publisher_tests_door", _DOOR)
    assert spec is not None
    assert spec.loader is not None
    doors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(doors)
    door = doors.Door()
    await door.start()
    peer = HttpPeer(doors, door)
    yield peer
    await peer.transport.aclose()
    await door.stop()


@asynccontextmanager
async def kafka_peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    cluster: KafkaCluster = request.getfixturevalue("kafka")
    topic = f"test-{uuid4().hex}"
    await make_topics(
        cluster.bootstrap,
        NewTopic(topic, num_partitions=3, replication_factor=1),
        NewTopic(f"{topic}-small", 1, 1, topic_configs={"max.message.bytes": "100"}),
    )
    peer = KafkaPeer(cluster, topic, f"{topic}-small", request.getfixturevalue("read_topic"))
    try:
        yield peer
    finally:
        await peer.end()
