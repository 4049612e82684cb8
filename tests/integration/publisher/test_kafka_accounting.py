"""What core's accounting shows of a topic that was lost with what core had not read of it."""

import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from structlog.testing import capture_logs

from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery as Delivered
from core_ingest.handler import IngestHandler
from core_ingest.ledger.accounting import account
from core_ingest.store.database import connect
from ingress_contracts.kafka import decode
from ingress_runtime.kafka.producer import Producer
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster
from telematics_publisher.delivery import Delivery
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.limits import Limits
from telematics_publisher.records import Envelopes, Lane, Record
from telematics_publisher.sender import Pace, Sender
from telematics_publisher.transports.kafka import KafkaTransport
from tests.integration.publisher.traffic import Read, recreate

pytestmark = [pytest.mark.anyio, pytest.mark.capability(Capability.REPORTS_MISSING_TOPICS)]


@pytest.fixture
async def pool(anyio_backend: str, database_url: str) -> AsyncIterator[asyncpg.Pool]:  # noqa: ARG001 — makes the fixture asynchronous
    opened = await connect(database_url, min_size=1, max_size=2)
    yield opened
    await opened.close()


def frames(lane: Lane, first: int, count: int) -> list[Record]:
    begin = time.time_ns() // 1_000_000_000 * 1_000 - 3_600_000

    def frame(number: int) -> Record:
        at = begin + number * 1_000
        payload = {"vid": f"bus_{number % 7}", "label": "odo", "value": 1_000 + number, "time": at}
        data = json.dumps({"type": "vehicles", "payload": payload}).encode()
        return Record(lane, at * 1_000, f"bus_{number % 7}", data)

    return [frame(number) for number in range(first, first + count)]


async def journal_of(path: Path) -> Journal:
    return await Journal.open(path, workspace="acme", publisher="edge-1", limits=Limits(2**30))


async def drain(journal: Journal, transport: KafkaTransport) -> None:
    """Send everything, then one checkpoint."""
    pace = Pace(checkpoint_seconds=1e9)
    sender = Sender(Delivery(journal, transport), Envelopes("acme", "edge-1"), pace=pace)
    sender.drain(1e9)
    await sender.run()


async def consume(pool: asyncpg.Pool, topic: str, records: list[ConsumerRecord]) -> None:
    """Hand records to core, as its consumer does."""
    parts: dict[int, list[ConsumerRecord]] = defaultdict(list)
    for record in records:
        parts[record.partition].append(record)
    deliveries = [
        Delivered(
            [decode(one.headers, one.value, one.key) for one in part],
            Door.KAFKA,
            Principal(),
            f"kafka/{topic}/{partition}",
            [one.offset for one in part],
        )
        for partition, part in parts.items()
    ]
    await IngestHandler(pool).handle_together(deliveries)


@pytest.mark.parametrize("partitions", [3, 1])
async def test_what_a_topic_took_with_it_is_reported_by_the_edge_and_unaccounted_at_core(  # noqa: PLR0917 — fixtures
    kafka: KafkaCluster,
    topic: str,
    read_topic: Read,
    admin: AIOKafkaAdminClient,
    pool: asyncpg.Pool,
    lane: Lane,
    tmp_path: Path,
    partitions: int,
) -> None:
    producer = Producer(KafkaSettings(bootstrap=kafka.bootstrap, topic=topic), deadline=10.0)
    transport = KafkaTransport(producer, topic, workspace="acme")
    journal = await journal_of(tmp_path / "acme.journal")
    await journal.append(frames(lane, 0, 60))
    await drain(journal, transport)
    await consume(pool, topic, await read_topic(topic, 60 + 3))
    await journal.append(frames(lane, 60, 40))
    await drain(journal, transport)
    assert journal.pending == 0  # Kafka has them, core has not

    await recreate(admin, topic, partitions)
    await journal.append(frames(lane, 100, 20))
    with capture_logs() as logs:
        await drain(journal, transport)
    reported = [one for one in logs if one["event"] == "kafka_records_gone"]
    assert sum(one["records"] for one in reported) == 100
    await consume(pool, topic, await read_topic(topic, 20 + partitions))
    found = await account(pool, "acme")
    assert found.unaccounted == 40
    assert (found.received, found.in_flight, found.accepted) == (120, 0, 80)
    await producer.stop()
    await journal.close()
