"""A partition's records, and a consumer that only takes note."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition

TOPIC = "telematics.ingress"


@dataclass
class FakeRecord:
    """A record as aiokafka hands it out."""

    partition: int
    offset: int
    value: bytes | None = b"{}"
    headers: Sequence[tuple[str, bytes | None]] = ()
    topic: str = TOPIC
    timestamp: int = 1_000
    key: bytes | None = None


@dataclass
class FakeConsumer:
    """Three partitions of one member."""

    partitions: set[int] = field(default_factory=lambda: {0, 1, 2})
    beginnings: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    committed: list[Mapping[TopicPartition, int]] = field(default_factory=list)
    sought: list[tuple[int, int]] = field(default_factory=list)
    paused: set[TopicPartition] = field(default_factory=set)
    trouble: Exception | None = None
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    def positions(self) -> dict[int, int]:
        """Return where each partition that was sought is read next."""
        return dict(self.sought)

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC, number) for number in range(3)}

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought.append((partition.partition, offset))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.committed.append(offsets)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.partitions if topic == TOPIC else None

    async def end_offsets(self, partitions: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {each: self.ends.get(each.partition, 0) for each in partitions}

    async def beginning_offsets(
        self, partitions: list[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        await self.answers.wait()
        return {each: self.beginnings.get(each.partition, 0) for each in partitions}


@pytest.fixture
def consumer() -> FakeConsumer:
    return FakeConsumer()


def _records(partition: int, first: int, number: int) -> list[FakeRecord]:
    return [FakeRecord(partition, first + index) for index in range(number)]


@pytest.fixture
def records() -> object:
    return _records
