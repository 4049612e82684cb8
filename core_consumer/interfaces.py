"""What the consumer's parts need of others: of aiokafka's consumer, and of the heart."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from aiokafka import TopicPartition

from core_ingest.handler import Delivery, Result


class Handler(Protocol):
    """What stores batches; see `core_ingest.handler`."""

    async def handle_together(self, deliveries: Sequence[Delivery]) -> list[Result]:
        """Commit deliveries in one transaction and return one result for each, in order."""


class Consumer(Protocol):
    """What is used of aiokafka's consumer; see there."""

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions of this member."""

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """Return a topic's partitions, if it is there."""

    def pause(self, *partitions: TopicPartition) -> None:
        """Fetch nothing of these."""

    def resume(self, *partitions: TopicPartition) -> None:
        """Fetch of these again."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Let the group know that all before these offsets is done."""

    async def beginning_offsets(
        self, partitions: list[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return the first offsets that the brokers have."""

    async def end_offsets(self, partitions: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offsets that come next."""
