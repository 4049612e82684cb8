"""Looks at the partitions from time to time: how far behind they are, and whether they are still there."""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from core_consumer.interfaces import Consumer
from core_consumer.positions import Positions
from core_consumer.resets import RESETS
from ingress_runtime.kafka.topics import create_command

LAG_RECORDS = Gauge(
    "core_consumer_lag_records", "Records of a partition that are not acknowledged.", ("partition",)
)
LAG_SECONDS = Gauge(
    "core_consumer_lag_seconds", "Age of the oldest of them, as far as it was seen.", ("partition",)
)

_ANSWER_SECONDS = 5.0

log = structlog.get_logger()


class Watch:
    """Measures lag, and raises an alarm where a topic vanished or its end moved back."""

    def __init__(
        self,
        topic: str,
        positions: Positions,
        consumer: Callable[[], Consumer],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._topic = topic
        self._positions = positions
        self._consumer = consumer
        self._clock = clock
        self.objection: str | None = None

    async def run(self, seconds: float) -> None:
        """Look every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def look(self) -> None:
        """Look once."""
        consumer = self._consumer()
        if not consumer.partitions_for_topic(self._topic):
            self._miss()
            return
        self.objection = None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                ends = await consumer.end_offsets(list(consumer.assignment()))
        except (KafkaError, TimeoutError) as error:
            log.debug("ends_unknown", why=str(error) or type(error).__name__)
            self._measure()  # what waits grows older, and is at least as much as it was
            return
        ours = set(self._positions.places)
        self._judge({place: end for place, end in ends.items() if place in ours})
        self._measure()

    def _miss(self) -> None:
        if self.objection is None:
            RESETS.labels("vanished").inc()
            self.objection = (
                f"the topic {self._topic} has vanished, with what was not read yet; its publishers' "
                f"accounting tells what is missing. Make it anew: {create_command(self._topic)}"
            )
            log.error("topic_vanished", topic=self._topic, why=self.objection)

    def _judge(self, ends: Mapping[TopicPartition, int]) -> None:
        for topic, partition in self._positions.look(ends):
            RESETS.labels("back").inc()
            log.error(
                "end_moved_back",
                topic=topic,
                partition=partition,
                end=ends[TopicPartition(topic, partition)],
                meaning="the partition was made anew or cut, and records are lost; compare the "
                "accounting of its publishers",
            )

    def _measure(self) -> None:
        LAG_RECORDS.clear()
        LAG_SECONDS.clear()
        for (_, partition), lag in self._positions.lags(round(self._clock() * 1_000)).items():
            LAG_RECORDS.labels(partition).set(lag.records)
            LAG_SECONDS.labels(partition).set(lag.seconds)
