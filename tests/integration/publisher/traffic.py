"""Envelopes for Kafka, and what is done to its topics."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import REGISTRY

from ingress_contracts.control import Checkpoint, Route
from ingress_contracts.envelope import Envelope
from telematics_publisher.records import Envelopes, Record, Stored, connection_lane, provider_lane
from telematics_publisher.retry import RETRYABLE
from telematics_publisher.transports.kafka import KafkaTransport

Make = Callable[..., KafkaTransport]
Read = Callable[[str, int], Awaitable[list[ConsumerRecord]]]

EPOCH = UUID("0190b0d0-0000-7000-8000-000000000001")
LANE = provider_lane("viriciti", "/viriciti/acme/buses", timestamped=True)
STATES = connection_lane("viriciti", "/viriciti/acme/buses")
ENVELOPES = Envelopes("acme", "edge-1")
RECEIVED = 1_700_000_000_000_001


def envelope(number: int, data: bytes = b"{}", vehicle: str | None = "arcc_004") -> Envelope:
    lane = LANE if vehicle else STATES
    return ENVELOPES.of(Stored(EPOCH, number, Record(lane, RECEIVED, vehicle, data)))


def batch(first: int, count: int, vehicles: int = 1) -> list[Envelope]:
    return [
        envelope(number, b'{"n":%d}' % number, f"bus_{number % vehicles:03}")
        for number in range(first, first + count)
    ]


def checkpoint(routes: Sequence[Route]) -> Envelope:
    return ENVELOPES.of_checkpoint(Checkpoint(number=1, epochs=(), routes=tuple(routes)), 0)


def gone() -> float:
    return REGISTRY.get_sample_value("publisher_kafka_records_gone_total") or 0.0


async def sent(transport: KafkaTransport, batch: Sequence[Envelope]) -> None:
    """Publish, again and again while a retry may help, as a sender does."""
    async with asyncio.timeout(120):
        while True:
            try:
                await transport.publish(batch)
            except RETRYABLE:
                continue
            return


async def recreate(admin: AIOKafkaAdminClient, topic: str, partitions: int = 3) -> None:
    """Delete a topic and make it anew; brokers take a moment to forget the old one."""
    await admin.delete_topics([topic])
    async with asyncio.timeout(60):
        while True:
            answer = await admin.create_topics([NewTopic(topic, partitions, 1)])
            if not answer.topic_errors[0][1]:
                return
            await asyncio.sleep(0.05)
