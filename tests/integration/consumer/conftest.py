"""A member of the group in this process, over a real database and a real broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete

from core_consumer.service import Consumption
from core_consumer.settings import ConsumerSettings
from core_ingest.handler import Delivery, IngestHandler, Result
from core_ingest.store.database import connect
from ingress_contracts import kafka as binding
from ingress_contracts import kinds
from ingress_contracts.envelope import Envelope
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.servers.kafka import KafkaCluster

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
_PATIENCE = 60.0


@dataclass
class Log:
    """The topic: what is written to it, and what the group has acknowledged of it."""

    bootstrap: str
    topic: str
    producer: AIOKafkaProducer
    written: dict[int, int] = field(default_factory=dict)

    @staticmethod
    def frame(sequence: int, value: Any = None, vehicle: str = "bus_1", **more: Any) -> Envelope:
        """Return frame number `sequence` of a bus: a speed that was observed that many seconds after noon."""
        at = NOON + timedelta(seconds=sequence)
        payload = {
            "vid": vehicle,
            "label": "speed",
            "value": float(sequence % 60) if value is None else value,
            "time": round(at.timestamp() * 1_000),
        }
        given = {
            "id": f"id-{sequence}",
            "source": "/viriciti/acme/buses",
            "type": kinds.PROVIDER_MESSAGE,
            "subject": vehicle,
            "provider": "viriciti",
            "workspaceid": "acme",
            "receivedtime": at + timedelta(seconds=1),
            "publisherid": "edge-1",
            "publisherepoch": EPOCH,
            "sequence": sequence,
            "data": json.dumps({"type": "vehicles", "payload": payload}).encode(),
        }
        return Envelope(**(given | more))

    async def write(self, envelopes: Sequence[Envelope], partition: int | None = None) -> None:
        """Write envelopes, each to the next partition in turn, or all to one."""
        for index, each in enumerate(envelopes):
            record = binding.encode(each)
            place = index % 3 if partition is None else partition
            await self._send(record.value, place, record.headers, record.key)
        await self.producer.flush()

    async def write_raw(
        self, value: bytes, partition: int = 0, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Write a record that is no envelope."""
        await self._send(value, partition, headers, None)
        await self.producer.flush()

    async def _send(
        self,
        value: bytes,
        partition: int,
        headers: Sequence[tuple[str, bytes]],
        key: bytes | None,
    ) -> None:
        await self.producer.send(
            self.topic, value, key=key, headers=list(headers), partition=partition
        )
        self.written[partition] = self.written.get(partition, 0) + 1

    @asynccontextmanager
    async def administration(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Give an operator's client; the producer then learns what it changed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()
        await self.producer.client.force_metadata_update()

    async def add_partitions(self, total: int) -> None:
        """Give the topic more partitions, so that it has `total`."""
        async with self.administration() as admin:
            await admin.create_partitions({self.topic: NewPartitions(total)})

    async def expire(self, partition: int, before: int) -> None:
        """Let a partition lose what lies before an offset, as retention does."""
        async with self.administration() as admin:
            place = TopicPartition(self.topic, partition)
            await admin.delete_records({place: RecordsToDelete(before)})

    async def delete(self) -> None:
        """Delete the topic."""
        async with self.administration() as admin:
            await admin.delete_topics([self.topic])
        self.written.clear()

    async def create(self) -> None:
        """Make the topic again."""
        async with self.administration() as admin:
            await admin.create_topics([NewTopic(self.topic, 3, replication_factor=1)])

    async def everything_is_acknowledged(self) -> bool:
        """Tell whether the group has acknowledged all that was written."""
        return await self.committed() == self.written

    async def committed(self, group: str | None = None) -> dict[int, int]:
        """Return the offsets that the group, named like the topic, has committed, by partition."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=group or self.topic, enable_auto_commit=False
        )
        await consumer.start()
        try:
            found = {}
            for partition in self.written:
                offset = await consumer.committed(TopicPartition(self.topic, partition))
                if offset is not None:
                    found[partition] = offset
            return found
        finally:
            await consumer.stop()


class Gate:
    """A handler that tells what it is given, and fails or waits when a test says so."""

    def __init__(self, handler: IngestHandler) -> None:
        self._handler = handler
        self.trouble: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.given_up = 0
        self.given: list[dict[str, list[int]]] = []

    async def handle_together(self, deliveries: Sequence[Delivery]) -> list[Result]:
        self.given.append({each.route or "": list(each.offsets) for each in deliveries})
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.trouble is not None:
            raise self.trouble
        return await self._handler.handle_together(deliveries)

    @property
    def attempts(self) -> int:
        """How many batches it was given."""
        return len(self.given)


@dataclass
class Core:
    """The database, and members of the group that store into it."""

    pool: asyncpg.Pool
    kafka: KafkaSettings

    async def facts(self) -> int:
        """Return how many facts there are."""
        found: int = await self.pool.fetchval("SELECT count(*) FROM history")
        return found

    async def dead_letters(self) -> list[tuple[str, str]]:
        """Return (origin, reason) in order."""
        rows = await self.pool.fetch("SELECT origin, reason FROM dead_letters ORDER BY origin")
        return [tuple(row) for row in rows]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Return once `condition` holds (it may be a coroutine function); fail if it never does."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = condition()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.02)

    async def passes(self, seconds: float) -> None:
        """Return when so much time has passed: what is tested is that nothing happens in it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await self.until(lambda: loop.time() > end)

    async def refuse(self, condition: str) -> None:
        """Let the database refuse facts of which `condition` is true."""
        await self.pool.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'not this one' USING ERRCODE = '23514'; END $$"
        )
        await self.pool.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON history FOR EACH ROW "
            f"WHEN ({condition}) EXECUTE FUNCTION refuse()"
        )

    async def holds(self, facts: int) -> None:
        """Return once there are so many facts."""

        async def enough() -> bool:
            return await self.facts() == facts

        await self.until(enough)

    def gate(self, step: Any = None) -> Gate:
        """Return a handler that can be told to fail, or to wait."""
        more = {} if step is None else {"step": step}
        return Gate(IngestHandler(self.pool, **more))

    def settings(self, **changed: Any) -> ConsumerSettings:
        """Return the settings of a member, quicker than usual to notice and to repeat."""
        given: dict[str, Any] = {
            "group": self.kafka.topic,
            "session_seconds": 6,
            "rebalance_seconds": 6,
            "metadata_seconds": 0.5,
            "grace_seconds": 20,
            "retry_seconds": 0.5,
        }
        return ConsumerSettings(**(given | changed))

    def consumption(self, handler: Any = None, **settings: Any) -> Consumption:
        """Return a member that was not started."""
        return Consumption(
            self.settings(**settings), self.kafka, handler or IngestHandler(self.pool)
        )

    @asynccontextmanager
    async def member(self, handler: Any = None, **settings: Any) -> AsyncIterator[Consumption]:
        """Run a member until the block ends; then stop it gracefully."""
        consumption = self.consumption(handler, **settings)
        try:
            await consumption.start()
            yield consumption
        finally:
            await consumption.stop()


@pytest.fixture
async def log(kafka: KafkaCluster, topic: str) -> AsyncIterator[Log]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    try:
        yield Log(kafka.bootstrap, topic, producer)
    finally:
        await producer.stop()


@pytest.fixture
async def core(database_url: str, kafka: KafkaCluster, topic: str) -> AsyncIterator[Core]:
    pool = await connect(database_url, max_size=6)
    try:
        yield Core(pool, KafkaSettings(bootstrap=kafka.bootstrap, topic=topic))
    finally:
        await pool.close()
