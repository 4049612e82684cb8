"""Kafka: a record an envelope (CloudEvents Kafka binding 1.0, binary mode), in core's topic.

The key is the vehicle as its provider names it; it picks the partition as every Kafka client does
(murmur2), so that a vehicle's records stand in one partition. A checkpoint goes to each.

What holds of the order: one batch after the other is handed to the producer, and a partition is
written in that order, Kafka's own retries included. An attempt that failed is repeated by the
sender, whole: its records may come behind later ones then, and twice. When partitions are added,
some vehicles move to another partition.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import structlog
from prometheus_client import Counter

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.kafka import encode
from ingress_contracts.kinds import CHECKPOINT
from ingress_runtime.kafka.connection import connected
from ingress_runtime.kafka.errors import (
    BrokersSilent,
    BrokersUnreachable,
    KafkaTrouble,
    NotAllowed,
    RecordsRejected,
    RecordsTooLarge,
    TopicMissing,
)
from ingress_runtime.kafka.line import Record
from ingress_runtime.kafka.partitioner import partition
from ingress_runtime.kafka.producer import Producer
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.kafka.topics import require
from telematics_publisher.errors import (
    BatchRefused,
    DeadlineExceeded,
    NotAuthorised,
    TransportError,
    Unavailable,
    Unreachable,
    WayClosed,
)
from telematics_publisher.streams import Workspace
from telematics_publisher.transport import Refusal
from telematics_publisher.transports.ends import Ends, Gone, merged

RECORDS_GONE = Counter(
    "publisher_kafka_records_gone_total",
    "Records that Kafka had acknowledged and that its topic no longer holds, as far as they are "
    "remembered: deleted, made anew or cut off. Core's accounting tells which it had not read.",
)

_LONGEST_LOOK = 10.0
_MOST_RANGES = 20

_MEANINGS: Mapping[type[KafkaTrouble], Callable[[str], TransportError]] = {
    BrokersUnreachable: Unreachable,
    BrokersSilent: DeadlineExceeded,
    NotAllowed: NotAuthorised,
}
"""Everything else may pass: the topic is made, a broker comes back."""

log = structlog.get_logger()


@asynccontextmanager
async def opened(
    settings: KafkaSettings, *, deadline: float, alone: bool = True
) -> AsyncIterator[Callable[[Workspace], "KafkaTransport"]]:
    """Yield what makes the transport of each workspace; they share one producer.

    Raises SettingsError, and WayClosed where the topic is missing and this way is `alone`. Brokers
    that do not answer yet are no hindrance: what is journalled waits for them, or takes another way.
    """
    producer = Producer(settings, deadline=deadline)
    try:
        async with connected(settings, min(deadline, _LONGEST_LOOK)) as client:
            await require(client, settings.topic)
    except KafkaTrouble as trouble:
        if alone and isinstance(trouble, TopicMissing):
            raise WayClosed(str(trouble)) from trouble
        log.warning(
            "kafka_not_reached",
            error=str(trouble),
            consequence="frames are journalled, and sent once the brokers answer"
            if alone
            else "Kafka gets nothing until then; HTTP is used",
            remedy="`ingress topics check` says more",
        )
    try:
        yield lambda workspace: KafkaTransport(producer, settings.topic, workspace=workspace.name)
    finally:
        await producer.stop()


class _Numbered(NamedTuple):
    """A record with the number of its envelope, which a checkpoint has not."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    number: tuple[UUID, int] | None


class KafkaTransport:
    """Writes to the topic of `producer`, which others may share; its deadline is the attempt's."""

    name = "kafka"
    copies: Sequence[Route] = ()

    def __init__(self, producer: Producer, topic: str, *, workspace: str) -> None:
        self._producer = producer
        self._topic = topic
        self._ends = Ends()
        self._partitions = 0
        self._log = log.bind(topic=topic, workspace=workspace)

    async def routes(self) -> Sequence[Route]:
        """Return the topic with the number of partitions that it has now. See Transport.routes."""
        try:
            partitions = await self._producer.partitions()
        except KafkaTrouble as trouble:
            raise self._meaning(trouble) from trouble
        self._found(partitions)
        return (Route(door="kafka", topic=self._topic, partitions=partitions),)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Write `batch`; a checkpoint to every partition. See Transport.publish."""
        try:
            await self._producer.send(lambda partitions: self._split(batch, partitions), self._note)
        except KafkaTrouble as trouble:
            raise self._meaning(trouble) from trouble
        return ()

    async def aclose(self) -> None:
        """Release nothing: whoever made the producer stops it."""

    def _split(self, batch: Sequence[Envelope], partitions: int) -> dict[int, list[_Numbered]]:
        self._found(partitions)
        parts: dict[int, list[_Numbered]] = defaultdict(list)
        for envelope in batch:
            record = encode(envelope)
            numbered = _Numbered(record.key, record.value, record.headers, _number(envelope))
            if envelope.type == CHECKPOINT:
                for each in range(partitions):
                    parts[each].append(numbered)
            else:
                # Without a vehicle, what a stream says stays together all the same.
                parts[partition(record.key or envelope.source.encode(), partitions)].append(
                    numbered
                )
        return parts

    def _found(self, partitions: int) -> None:
        """Take note that the topic is there, with so many partitions."""
        if partitions < self._partitions:
            self._report(self._ends.vanished(beyond=partitions))
        self._partitions = partitions

    def _note(self, partition: int, offset: int, records: Sequence[Record]) -> None:
        numbers = [one.number for one in records if isinstance(one, _Numbered)]
        gone = self._ends.written(partition, offset, numbers)
        if gone is not None:
            self._report([gone])

    def _meaning(self, trouble: KafkaTrouble) -> TransportError:
        """Translate what the producer raises; what a topic held that is not there is reported."""
        if isinstance(trouble, TopicMissing):
            self._report(self._ends.vanished())
        if isinstance(trouble, RecordsTooLarge):
            return BatchRefused(str(trouble), "too_large")
        if isinstance(trouble, RecordsRejected):
            return BatchRefused(str(trouble), "malformed")
        return _MEANINGS.get(type(trouble), Unavailable)(str(trouble))

    def _report(self, gone: Sequence[Gone]) -> None:
        """Say loudly what the topic has lost."""
        if not gone:
            return
        records = sum(one.records for one in gone)
        RECORDS_GONE.inc(records)
        self._log.error(
            "kafka_records_gone",
            partitions=[
                {"partition": one.partition, "had_ended": one.end, "ends": one.now} for one in gone
            ],
            records=records,
            numbers={str(epoch): _told(list(ranges)) for epoch, ranges in merged(gone)},
            consequence="what core had not read of these is lost: its accounting says how many are "
            "unaccounted",
            remedy="find out who deleted, recreated or truncated the topic; providers may still "
            "have this time's history",
        )


def _number(envelope: Envelope) -> tuple[UUID, int] | None:
    if envelope.publisherepoch is None or envelope.sequence is None:
        return None
    return envelope.publisherepoch, envelope.sequence


def _told(ranges: list[tuple[int, int]]) -> str:
    shown = [f"{low}" if low == high else f"{low}-{high}" for low, high in ranges[:_MOST_RANGES]]
    more = len(ranges) - _MOST_RANGES
    return ", ".join(shown) + (f" and {more} more ranges" if more > 0 else "")
