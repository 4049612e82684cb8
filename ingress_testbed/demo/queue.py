"""The topic between publishers and core, where the demo's transport is Kafka."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from ingress_runtime.kafka.errors import TRANSLATED
from ingress_testbed.demo.core_client import HopSilent
from ingress_testbed.demo.processes import Processes, environment, ingress
from ingress_testbed.servers.kafka import KafkaCluster

PARTITIONS = 3
_SECONDS = 20.0
_POLL_MS = 500


@dataclass(frozen=True, slots=True)
class Queue:
    """A topic of the demo's own in a cluster, whosever that is. The consumers' group is named alike."""

    cluster: KafkaCluster
    topic: str

    @property
    def variables(self) -> dict[str, str]:
        """The settings by which every process finds it."""
        return {
            "INGRESS_KAFKA_BOOTSTRAP": self.cluster.bootstrap,
            "INGRESS_KAFKA_TOPIC": self.topic,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in the topic, when (epoch ms) it was written, and its value."""

    partition: int
    offset: int
    written: int
    value: bytes


@asynccontextmanager
async def queued(processes: Processes, cluster: KafkaCluster) -> AsyncIterator[Queue]:
    """Give a fresh topic, made as a user would, and remove it from a cluster that goes on without us.

    Raises ProcessEnded with what the command said.
    """
    queue = Queue(cluster, f"telematics.demo-{secrets.token_hex(4)}")
    await processes.run(
        "topics",
        ingress("topics", "create", "--partitions", str(PARTITIONS), "--retention", "1d"),
        environment(**queue.variables),
    )
    try:
        yield queue
    finally:
        if not cluster.brokers:
            with _answering(cluster):
                await _remove(queue)


async def place_of(queue: Queue, publisher: str, epoch: str, sequence: int) -> Place | None:
    """Return where a numbered record stands, by reading the topic; None where it is not found.

    Raises HopSilent where no broker answers.
    """
    number = {
        "ce_publisherid": publisher,
        "ce_publisherepoch": epoch,
        "ce_sequence": str(sequence),
    }
    wanted = {(name, text.encode()) for name, text in number.items()}
    consumer = AIOKafkaConsumer(
        queue.topic,
        bootstrap_servers=queue.cluster.bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
    )
    with _answering(queue.cluster):
        async with asyncio.timeout(_SECONDS), consumer:
            while found := await consumer.getmany(timeout_ms=_POLL_MS):
                for records in found.values():
                    for record in records:
                        if wanted.issubset(record.headers):
                            return Place(
                                record.partition, record.offset, record.timestamp, record.value
                            )
    return None


async def _remove(queue: Queue) -> None:
    async with asyncio.timeout(_SECONDS):
        admin = AIOKafkaAdminClient(bootstrap_servers=queue.cluster.bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([queue.topic])
        finally:
            await admin.close()


@contextmanager
def _answering(cluster: KafkaCluster) -> Iterator[None]:
    """Turn aiokafka's exceptions into HopSilent."""
    try:
        yield
    except TRANSLATED as error:
        raise HopSilent(f"{cluster.description} at {cluster.bootstrap}: {error!r}") from error
