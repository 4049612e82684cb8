"""Detects that a partition is not read where it was left, and says so: offsets were reset."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from core_consumer.batch import Part
from core_consumer.interfaces import Consumer
from core_consumer.positions import Place, Positions, Start

RESETS = Counter(
    "core_consumer_offset_resets",
    "Partitions that were not as they were left: records expired unread (expired), the next record "
    "or the end moved back (back), the topic vanished (vanished).",
    ("reason",),
)
for _reason in ("expired", "back", "vanished"):
    RESETS.labels(_reason)

_SECONDS = 5.0

log = structlog.get_logger()


class Resets:
    """Compares what came with what was expected."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions

    async def beginnings(self, found: Sequence[Part], consumer: Consumer) -> Mapping[Place, int]:
        """Return the first offset of each partition that leaves a gap; not where nobody tells now."""
        gaps = [
            TopicPartition(*part.place)
            for part in found
            if self._positions.judge(part.place, part.first) is Start.GAP
        ]
        if not gaps:
            return {}
        try:
            async with asyncio.timeout(_SECONDS):
                return {(*gap,): at for gap, at in (await consumer.beginning_offsets(gaps)).items()}
        except (KafkaError, TimeoutError):
            return {}

    def continuing(
        self, found: Sequence[Part], beginnings: Mapping[Place, int], consumer: Consumer
    ) -> list[Part]:
        """Return the parts to go on with; those that leave a gap are asked for again."""
        return [
            part for part in found if self._continues(part, beginnings.get(part.place, 0), consumer)
        ]

    def _continues(self, part: Part, beginning: int, consumer: Consumer) -> bool:
        place, first = part.place, part.first
        start = self._positions.judge(place, first)
        if start is Start.EXPECTED:
            return True
        topic, partition = place
        said = log.bind(topic=topic, partition=partition, first=first)
        if start is Start.BACK:
            RESETS.labels("back").inc()
            said.error(
                "offsets_moved_back",
                meaning="the partition was made anew or cut; what it holds is read from here on, "
                "copies change nothing. Compare the accounting of its publishers",
            )
            return True
        if start is Start.SKIPPED:
            said.info("offsets_skipped", meaning="the brokers have no records between")
            return True
        expected = self._positions.ask(place)
        if beginning > expected:
            RESETS.labels("expired").inc()
            said.error(
                "records_expired_unread",
                expected=expected,
                meaning="the topic's retention is shorter than this group was behind; what is lost "
                "shows as unaccounted",
            )
            if first <= beginning:
                return True
        said.info("offsets_asked_for_again", expected=expected)
        consumer.seek(TopicPartition(topic, partition), max(expected, beginning))
        return False
