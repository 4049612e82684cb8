"""The FastStream application: one batch subscriber, and who acknowledges what it brings.

FastStream decodes headers and body of every record by default (measured: 33,000 records a second,
with nothing done to them). Its parser and decoder are replaced here by ones that touch no record.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from faststream import AckPolicy, StreamMessage
from faststream.kafka import ConsumerRecord, KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from prometheus_client import Counter

from core_consumer.pipeline import Pipeline
from core_consumer.settings import ConsumerSettings

POLL_MS = 50
"""How long a poll waits for records. FastStream sleeps for as long again after an empty one."""

FETCH_BYTES = 4 * 2**20
"""Most bytes of a partition in one answer: a batch of one partition fits in."""

_HEARTBEATS = 3
_HEARTBEAT_SECONDS = 3.0
"""A member hears with its next heartbeat that somebody has joined, who waits for it until then."""

_LATEST_COMPLAINT_SECONDS = 15.0

POLL_FAILURES = Counter(
    "core_consumer_poll_failures", "Polls that failed; each is tried again after 5 s."
)

Records = tuple[ConsumerRecord, ...]

log = structlog.get_logger()


def make_broker(
    connection: Mapping[str, Any], metadata_seconds: float, voice: "Voice"
) -> KafkaBroker:
    """Return a broker for consumers only, by the options of `ingress_runtime.kafka.connection`."""
    return KafkaBroker(
        connection["bootstrap_servers"],
        client_id=connection["client_id"],
        security=_security(connection),
        metadata_max_age_ms=round(metadata_seconds * 1_000),
        consumer_only=True,
        graceful_timeout=None,
        apply_types=False,
        logger=voice,
    )


def subscribe(
    broker: KafkaBroker,
    topic: str,
    settings: ConsumerSettings,
    take: Callable[[Records], Awaitable[None]],
    listener: ConsumerRebalanceListener | None = None,
) -> BatchSubscriber:
    """Declare the one subscriber: what a poll brings goes to `take`, in order, one at a time."""
    milliseconds = 1_000
    heartbeat = min(settings.session_seconds / _HEARTBEATS, _HEARTBEAT_SECONDS)
    subscriber = broker.subscriber(
        topic,
        batch=True,
        # FastStream acknowledges nothing, before or after. Offsets are committed explicitly, once
        # the database has committed: see core_consumer.pipeline.
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",  # the library's default would skip what is there already
        group_id=settings.group,
        max_records=settings.batch_records,
        batch_timeout_ms=POLL_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
        max_poll_interval_ms=round(settings.poll_interval_seconds * milliseconds),
        session_timeout_ms=round(settings.session_seconds * milliseconds),
        heartbeat_interval_ms=round(heartbeat * milliseconds),
        rebalance_timeout_ms=round(settings.rebalance_seconds * milliseconds),
        listener=listener,
        parser=_parse,
        decoder=_decode,
        no_reply=True,  # whatever a record's headers ask for
        title="ingress",
    )

    @subscriber
    async def ingest(records: Any) -> None:
        await take(records)

    return subscriber


async def _parse(records: Records) -> StreamMessage[Records]:
    return StreamMessage(raw_message=records, body=b"")


async def _decode(message: StreamMessage[Records]) -> Records:
    return message.raw_message


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Tells a pipeline when its partitions move. `consumer` is asked for what is committed."""

    def __init__(self, pipeline: Pipeline, consumer: Callable[[], Any], within: float) -> None:
        self._pipeline = pipeline
        self._consumer = consumer
        self._within = within

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Finish the batch in work, or give it up."""
        log.info("partitions_revoked", partitions=_numbers(revoked))
        await self._pipeline.revoke()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin where the group has committed."""
        committed: dict[TopicPartition, int | None] = dict.fromkeys(assigned)
        try:
            async with asyncio.timeout(self._within):
                for place in assigned:
                    committed[place] = await self._consumer().committed(place)
        except (KafkaError, TimeoutError) as error:
            log.warning("committed_offsets_unknown", why=str(error) or type(error).__name__)
        self._pipeline.assign(committed)
        log.info("partitions_assigned", partitions=_numbers(assigned))


def _numbers(partitions: set[TopicPartition]) -> list[int]:
    return sorted(each.partition for each in partitions)


def _security(connection: Mapping[str, Any]) -> BaseSecurity:
    """Return FastStream's words for aiokafka's options."""
    protocol = connection["security_protocol"]
    secure: dict[str, Any] = {
        "ssl_context": connection.get("ssl_context"),
        "use_ssl": protocol.endswith("SSL"),
    }
    if not protocol.startswith("SASL"):
        return BaseSecurity(**secure)
    kinds: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
        "PLAIN": SASLPlaintext,
        "SCRAM-SHA-256": SASLScram256,
        "SCRAM-SHA-512": SASLScram512,
    }
    return kinds[connection["sasl_mechanism"]](
        connection["sasl_plain_username"], connection["sasl_plain_password"], **secure
    )


class Voice:
    """FastStream's logger: its warnings and errors as events of ours, its chatter left out.

    Its loop outlives what aiokafka raises, and tries again every 5 s; this is who hears of it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._complaint: str | None = None
        self._at = 0.0

    @property
    def objection(self) -> str | None:
        """What made the last polls fail, if they did."""
        return self._complaint if self._clock() - self._at < _LATEST_COMPLAINT_SECONDS else None

    def log(
        self,
        level: int,
        msg: Any,
        /,
        *,
        exc_info: Any = None,
        extra: Mapping[str, Any] | None = None,  # noqa: ARG002 — FastStream's signature
    ) -> None:
        """Take one line. The topic's existence was checked before the start."""
        if level < logging.WARNING or "Make sure the topics exist" in str(msg):
            return
        why = f"{msg}: {exc_info!r}" if exc_info else str(msg)
        if level >= logging.ERROR:
            POLL_FAILURES.inc()
            self._complaint, self._at = why, self._clock()
        log.log(level, "faststream", says=why)
