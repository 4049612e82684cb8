"""Detects that a partition is not read where it was left, and says so: offsets were reset."""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from core_consumer.batch import Part
from core_consumer.interfaces import Consumer
from core_consumer.positions import Positions, Start

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

    async def continuing(self, found: Sequence[Part], consumer: Consumer) -> list[Part]:
        """Return the parts to go on with; those that leave a gap are asked for again."""
        return [part for part in found if await self._continues(part, consumer)]

    async def _continues(self, part: Part, consumer: Consumer) -> bool:
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
        if await _beginning(place, consumer) > expected:
            RESETS.labels("expired").inc()
            said.error(
                "records_expired_unread",
                expected=expected,
                meaning="the topic's retention is shorter than this group was behind; what is lost "
                "shows as unaccounted",
            )
            return True
        said.info("offsets_asked_for_again", expected=expected)
        consumer.seek(TopicPartition(topic, partition), expected)
        return False


async def _beginning(place: tuple[str, int], consumer: Consumer) -> int:
    """Return the first offset that a partition has, or 0 where the brokers do not tell now."""
    partition = TopicPartition(*place)
    try:
        async with asyncio.timeout(_SECONDS):
            return (await consumer.beginning_offsets([partition]))[partition]
    except (KafkaError, TimeoutError):
        return 0
