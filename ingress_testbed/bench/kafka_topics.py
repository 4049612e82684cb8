"""Topics of a benchmark: made, filled, weighed; and how far a group is in one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient

from ingress_contracts.envelope import Envelope
from ingress_runtime.kafka import topics
from ingress_runtime.kafka.connection import connected
from ingress_runtime.kafka.producer import Producer
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.kafka.topics import PARTITIONS, Wish
from ingress_testbed.bench.contenders import parts
from telematics_publisher.transports.kafka import KafkaTransport

DEADLINE = 60.0
BATCH = 500


@dataclass(frozen=True, slots=True)
class Brokers:
    """Where topics are made. `directory` is that of brokers of ours, whose logs can be weighed."""

    bootstrap: str
    directory: Path

    async def topic(self) -> KafkaSettings:
        """Make a topic as `ingress topics create` does; return the settings that lead there."""
        settings = KafkaSettings(bootstrap=self.bootstrap, topic=f"bench.{uuid4().hex[:8]}")
        async with connected(settings, DEADLINE) as client:
            await topics.create(client, Wish(settings.topic, PARTITIONS))
        return settings

    async def filled(self, envelopes: Sequence[Envelope]) -> KafkaSettings:
        """Make a topic that holds `envelopes` as a publisher's transport writes them."""
        settings = await self.topic()
        producer = Producer(settings, deadline=DEADLINE)
        transport = KafkaTransport(producer, settings.topic, workspace="bench")
        try:
            for batch in parts(envelopes, BATCH):
                await transport.publish(batch)
        finally:
            await producer.stop()
        return settings

    def weigh(self, topic: str) -> int | None:
        """Return the bytes of a topic's log, on one broker, or None where it cannot be seen.

        That is what travels: brokers store batches as producers send them.
        """
        logs = list(self.directory.glob(f"kafka/broker-1/data/{topic}-*/*.log"))
        return sum(log.stat().st_size for log in logs) if logs else None


class Group:
    """What a consumer group has committed of a topic."""

    def __init__(self, admin: AIOKafkaAdminClient, topic: str, name: str) -> None:
        self._admin = admin
        self._topic = topic
        self._name = name

    async def committed(self) -> int:
        """Return how many records the group is done with, as the topic began at 0."""
        found = await self._admin.list_consumer_group_offsets(self._name)
        return sum(
            max(0, place.offset) for each, place in found.items() if each.topic == self._topic
        )

    async def reached(self, records: int) -> bool:
        """Tell whether the group is done with so many records."""
        return await self.committed() >= records


@asynccontextmanager
async def observed(kafka: KafkaSettings, name: str) -> AsyncIterator[Group]:
    """Yield what tells of the group `name`, once it has members."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await admin.start()
    try:
        yield Group(admin, kafka.topic, name)
    finally:
        await admin.close()
