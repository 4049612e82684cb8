"""The one producer: a batch to each partition, acknowledged by all replicas, within a deadline.

aiokafka's own producer has no deadline where it is idempotent: it retries for ever, and `stop()`
waits for what it retries. So each one here is given up as a whole once a batch fails or takes too
long, and the next attempt makes a new one. They do not pile up: before a new one is made, the old
one's requests have ended, which takes no longer than their timeouts.

What was given up may have been written all the same: whoever sends it again makes a duplicate.
Within the life of one aiokafka producer the batches of a partition are written in the order of the
calls, once each where the brokers have idempotence; a failed batch ends that life.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.codec import has_gzip, has_lz4, has_zstd
from aiokafka.errors import BrokerResponseError, IncompatibleBrokerVersion
from prometheus_client import Counter

from ingress_runtime.kafka import topics
from ingress_runtime.kafka.connection import connected, options
from ingress_runtime.kafka.errors import (
    TRANSLATED,
    BrokersSilent,
    KafkaTrouble,
    NotWritable,
    TopicMissing,
    translated,
)
from ingress_runtime.kafka.line import Batches, Line, Written, end
from ingress_runtime.kafka.settings import LARGEST_BATCH, Compression, KafkaSettings
from ingress_runtime.kafka.topics import Topic
from ingress_runtime.settings import SettingsError

ABANDONED = Counter(
    "kafka_producers_abandoned_total",
    "Producers given up because a batch failed or took too long; what they held is sent again.",
)

_CODECS: Mapping[Compression, Callable[[], bool]] = {
    "none": lambda: True,
    "gzip": has_gzip,
    "lz4": has_lz4,
    "zstd": has_zstd,
}

_FOR_QUESTIONS = 0.2
"""The part of a deadline that is kept for finding out why it passed."""

_REQUESTS_IN_A_DEADLINE = 3
_LEAST_REQUEST_SECONDS = 1.0

log = structlog.get_logger()


class Producer:
    """Writes to the topic of `settings`; no method takes longer than `deadline` seconds.

    Connects when it is first needed, and again after trouble. Safe to share: the batches of all
    senders are written in the order of their calls. Raises SettingsError where the settings cannot
    work.
    """

    def __init__(self, settings: KafkaSettings, *, deadline: float) -> None:
        if not _CODECS[settings.compression]():
            problem = (
                f"  INGRESS_KAFKA_COMPRESSION={settings.compression!r}: its library is not "
                "installed. pip install 'telematics-ingress[kafka]', or set it to gzip."
            )
            raise SettingsError([problem])
        options(settings)
        self._settings = settings
        self._deadline = deadline
        self._turn = asyncio.Lock()
        self._line: Line | None = None
        self._ending: asyncio.Task[None] | None = None

    async def partitions(self) -> int:
        """Ask how many partitions the topic has now. Raises KafkaTrouble."""
        line = None
        try:
            async with self._patience(), self._turn:
                line = await self._opened()
                await line.refresh()
                return line.partitions
        except (KafkaTrouble, *TRANSLATED) as error:
            raise await self._trouble(line, error) from error

    async def send(self, batches: Callable[[int], Batches], written: Written) -> None:
        """Return once everything is written that `batches` makes of the number of partitions.

        `written` is told of each part as it is acknowledged, also where another part then fails.
        Raises KafkaTrouble.
        """
        line = None
        try:
            async with self._patience():
                async with self._turn:
                    line = await self._opened()
                    futures = await line.submit(batches(line.partitions), written)
                await line.confirmed(futures)
        except (KafkaTrouble, *TRANSLATED) as error:
            raise await self._trouble(line, error) from error

    async def stop(self) -> None:
        """Let go of the connections; what was not acknowledged is given up."""
        if self._line is not None:
            self._end(self._line)
        if self._ending is not None:
            await asyncio.wait([self._ending], timeout=self._deadline)

    def _patience(self) -> asyncio.Timeout:
        return asyncio.timeout(self._deadline * (1 - _FOR_QUESTIONS))

    async def _opened(self) -> Line:
        if self._line is None:
            if self._ending is not None:
                await asyncio.wait([self._ending])
            self._line = await self._open()
        return self._line

    async def _open(self) -> Line:
        """Connect, once the topic is known to be there; with idempotence, if that can be had."""
        async with connected(self._settings, self._deadline) as client:
            topic = await topics.require(client, self._settings.topic)
        numbering = True
        try:
            producer = await self._start(topic, numbering=True)
        except (IncompatibleBrokerVersion, BrokerResponseError) as error:
            # The brokers' API has no producer ids, or it fails there, or we may have none.
            log.warning(
                "kafka_without_idempotence",
                error=str(translated(error)),
                consequence="a retry within Kafka may write a record twice, which core sorts out",
                remedy="brokers may ask for the ACL IdempotentWrite on the cluster",
            )
            numbering = False
            producer = await self._start(topic, numbering=False)
        log.info(
            "kafka_connected",
            topic=topic.name,
            partitions=topic.partitions,
            replicas=topic.replicas,
            idempotent=numbering,
        )
        return Line(producer, topic.name, topic.partitions)

    async def _start(self, topic: Topic, *, numbering: bool) -> AIOKafkaProducer:
        compression = self._settings.compression
        seconds = max(_LEAST_REQUEST_SECONDS, self._deadline / _REQUESTS_IN_A_DEADLINE)
        producer = AIOKafkaProducer(
            **options(self._settings),
            acks="all",
            enable_idempotence=numbering,
            compression_type=None if compression == "none" else compression,
            max_batch_size=min(LARGEST_BATCH, topic.largest_batch or LARGEST_BATCH),
            request_timeout_ms=round(seconds * 1_000),
        )
        try:
            await producer.start()
            await producer.partitions_for(topic.name)
        except BaseException:
            await end(producer)
            raise
        return producer

    async def _trouble(self, line: Line | None, error: BaseException) -> KafkaTrouble:
        """Give up the line on which it happened, and return what it means."""
        if line is not None and line is self._line:
            ABANDONED.inc()
            self._end(line)
        trouble = translated(error)
        if isinstance(error, TimeoutError):
            trouble = BrokersSilent(
                f"no acknowledgement from {self._settings.servers} within {self._deadline:g} s"
            )
        vague = isinstance(error, TimeoutError) or isinstance(trouble, NotWritable | TopicMissing)
        return await self._reason(trouble) if vague else trouble

    async def _reason(self, trouble: KafkaTrouble) -> KafkaTrouble:
        """Ask the brokers what is behind it; the answer may be that they are not there."""
        try:
            async with connected(self._settings, self._deadline * _FOR_QUESTIONS) as client:
                topic = await topics.require(client, self._settings.topic)
        except BrokersSilent:
            return trouble
        except KafkaTrouble as reason:
            return reason
        for finding in topics.unwritable(topic):
            return NotWritable(f"{finding.subject}: {finding.found}. {finding.remedy}")
        if isinstance(trouble, TopicMissing):
            return NotWritable(f"topic {topic.name} was away for a moment")
        return trouble

    def _end(self, line: Line) -> None:
        self._line = None
        line.fail(BrokersSilent("given up: another batch on the same connection failed"))
        self._ending = asyncio.create_task(line.end())
