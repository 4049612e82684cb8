"""One aiokafka producer, from its start to its end. `producer` says when which of both is due."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from ingress_runtime.kafka.connection import close
from ingress_runtime.kafka.errors import KafkaTrouble, NotWritable, translated


class Record(Protocol):
    """What is written: see `ingress_contracts.kafka.KafkaRecord`."""

    @property
    def key(self) -> bytes | None:
        """What ties records together for consumers; None where nothing does."""

    @property
    def value(self) -> bytes:
        """The data."""

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """Names and values, in order."""


Batches: TypeAlias = Mapping[int, Sequence[Record]]
"""Records for each partition."""

Written: TypeAlias = Callable[[int, int, Sequence[Record]], None]
"""Told of partition, offset of the first, and records, as they are acknowledged: by offset."""


class Line:
    """A started producer for a topic that had `partitions` when somebody last looked."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self.partitions = partitions
        self._producer = producer
        self._topic = topic
        self._unconfirmed: set[asyncio.Future[None]] = set()

    async def refresh(self) -> None:
        """Ask for the number of partitions; where nobody answers, the last one stands.

        Raises UnknownTopicOrPartitionError.
        """
        client = self._producer.client
        if await client.force_metadata_update():  # False: no broker answered
            known = client.cluster.partitions_for_topic(self._topic)
            if not known:
                raise UnknownTopicOrPartitionError(self._topic)
            self.partitions = len(known)

    async def submit(self, batches: Batches, written: Written) -> Collection[asyncio.Future[None]]:
        """Put records in line for their partitions, behind what was submitted before.

        Returns futures that are done once they are acknowledged. Raises aiokafka's errors.
        """
        known = self._producer.client.cluster.partitions_for_topic(self._topic) or ()
        if not batches.keys() <= set(known):
            raise NotWritable(f"topic {self._topic} has fewer partitions than it had")
        return [
            await self._submit(partition, part, builder, written)
            for partition, records in batches.items()
            for part, builder in self._built(records)
        ]

    async def confirmed(self, futures: Collection[asyncio.Future[None]]) -> None:
        """Return once all of `futures` are acknowledged. Raises KafkaTrouble of the first failure."""
        if not futures:
            return
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
        for one in done:
            one.result()

    def fail(self, trouble: KafkaTrouble) -> None:
        """Let everybody who waits for an acknowledgement know that there will be none."""
        for one in self._unconfirmed:
            one.set_exception(trouble)
        self._unconfirmed.clear()

    async def end(self) -> None:
        """End it, with what is in it. Requests in flight take their time, which is bounded."""
        await end(self._producer)

    async def _submit(
        self, partition: int, records: Sequence[Record], builder: BatchBuilder, written: Written
    ) -> asyncio.Future[None]:
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        confirmed.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._unconfirmed.add(confirmed)

        def settle(sent: asyncio.Future[RecordMetadata]) -> None:
            error = None if sent.cancelled() else sent.exception()
            if confirmed not in self._unconfirmed or sent.cancelled():
                return  # given up: what arrives now is as good as unknown
            self._unconfirmed.discard(confirmed)
            if error is not None:
                confirmed.set_exception(translated(error))
                return
            if sent.result().offset >= 0:  # a repetition that the broker knows has none
                written(partition, sent.result().offset, records)
            confirmed.set_result(None)

        try:
            (await self._enqueue(partition, builder)).add_done_callback(settle)
        except (KafkaError, asyncio.CancelledError):
            self._unconfirmed.discard(confirmed)
            raise
        return confirmed

    async def _enqueue(
        self, partition: int, builder: BatchBuilder
    ) -> asyncio.Future[RecordMetadata]:
        """Wait for room in the partition's queue, which is one batch: the caller has a deadline."""
        while True:
            try:
                sent: asyncio.Future[RecordMetadata] = await self._producer.send_batch(
                    builder, self._topic, partition=partition
                )
            except KafkaTimeoutError:  # no room within a request's timeout; nothing was queued
                continue
            return sent

    def _built(self, records: Sequence[Record]) -> list[tuple[Sequence[Record], BatchBuilder]]:
        """Cut records into as many batches as their size asks for."""
        built = []
        begun, builder = 0, self._producer.create_batch()
        for at, record in enumerate(records):
            if not _append(builder, record):
                built.append((records[begun:at], builder))
                begun, builder = at, self._producer.create_batch()
                _append(builder, record)  # however large it is, the first one is always taken
        built.append((records[begun:], builder))
        for _, each in built:
            each.close()
        return built


async def end(producer: AIOKafkaProducer) -> None:
    """Let go of a producer that has been started, or was about to be, with what is in it.

    Its own `stop()` would wait for batches that idempotence keeps for ever. The sender's requests
    in flight end within their timeout; what was acknowledged was acknowledged.
    """
    producer._closed = True  # noqa: SLF001 — as stop() does; otherwise its end is a ResourceWarning
    sender = producer._sender.sender_task  # noqa: SLF001 — there is no public way to end it
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender])
    await close(producer.client)


def _append(builder: BatchBuilder, record: Record) -> bool:
    taken = builder.append(
        timestamp=None, key=record.key, value=record.value, headers=record.headers
    )
    return taken is not None
