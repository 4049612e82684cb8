"""Both ways to core as a test plays them: each attempt waits until the test says what becomes of it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from ingress_contracts.control import Checkpoint, CheckpointEpoch, Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CHECKPOINT, PROVIDER_MESSAGE
from telematics_publisher.errors import TransportError, Unreachable
from telematics_publisher.journal.ranges import ranges_of
from telematics_publisher.records import Lane, Record, Stored
from telematics_publisher.transport import Refusal

Number: TypeAlias = tuple[UUID, int]
LANE = Lane("telematics.provider.message.v1", "viriciti", "/viriciti/acme/buses", timestamped=True)
PARTITIONS = 2


def message(number: int) -> list[Envelope]:
    return [
        Envelope(
            id=str(number),
            source="/viriciti/acme/buses",
            type=PROVIDER_MESSAGE,
            workspaceid="acme",
            receivedtime=datetime(2026, 1, 1, tzinfo=UTC),
            publisherid="edge-1",
            publisherepoch=UUID(int=1),
            sequence=number,
        )
    ]


CHECK = [message(0)[0].model_copy(update={"type": CHECKPOINT, "sequence": None})]


@dataclass(eq=False)
class Attempt:
    """A batch on its way; `answer` ends the caller's waiting."""

    batch: Sequence[Envelope]
    answer: "asyncio.Future[Sequence[Refusal]]"

    def succeed(self) -> None:
        if not self.answer.done():
            self.answer.set_result(())

    def fail(self, error: TransportError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass
class PlayedWay:
    """A transport whose attempts stand in `attempts`, oldest first, until somebody ends them."""

    name: str
    route: Route
    copies: Sequence[Route] = ()
    attempts: list[Attempt] = field(default_factory=list)
    away: bool = False

    async def routes(self) -> Sequence[Route]:
        if self.away:
            raise Unreachable(f"{self.name} is away")
        return (self.route,)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        attempt = Attempt(batch, asyncio.get_running_loop().create_future())
        self.attempts.append(attempt)
        return await attempt.answer

    async def aclose(self) -> None:
        """Release nothing."""


def http_way() -> PlayedWay:
    return PlayedWay("http", Route(door="http"))


def kafka_way() -> PlayedWay:
    return PlayedWay("kafka", Route(door="kafka", topic="t", partitions=PARTITIONS))


class Core:
    """A topic, and what core makes of all that arrives: settled numbers, arrivals, checkpoints."""

    def __init__(self) -> None:
        self.partitions: list[list[Envelope]] = [[] for _ in range(PARTITIONS)]
        self.read = [0] * PARTITIONS
        self.settled: Counter[Number] = Counter()
        self.arrived: dict[str, int] = defaultdict(lambda: -1)
        self.checkpoints: dict[int, Checkpoint] = {}

    def handle(self, batch: Sequence[Envelope], route: str = "http") -> None:
        for envelope in batch:
            if envelope.type == CHECKPOINT:
                body = Checkpoint.model_validate_json(envelope.data)
                self.checkpoints.setdefault(body.number, body)
                self.arrived[route] = max(self.arrived[route], body.number)
            else:
                self.settled[number_of(envelope)] += 1

    def write(self, batch: Sequence[Envelope]) -> None:
        """Append a batch to the topic."""
        for envelope in batch:
            if envelope.type == CHECKPOINT:
                for partition in self.partitions:
                    partition.append(envelope)
            else:
                self.partitions[(envelope.sequence or 0) % PARTITIONS].append(envelope)

    def consume(self, partition: int) -> None:
        """Read the next record of a partition, if there is one."""
        at = self.read[partition]
        if at < len(self.partitions[partition]):
            self.read[partition] += 1
            self.handle([self.partitions[partition][at]], f"kafka/t/{partition}")

    @property
    def held(self) -> set[Number]:
        """Everything that core has, or the topic has for it."""
        waiting = (
            number_of(envelope)
            for partition, read in zip(self.partitions, self.read, strict=True)
            for envelope in partition[read:]
            if envelope.type != CHECKPOINT
        )
        return {*self.settled, *waiting}

    @property
    def unaccounted(self) -> set[Number]:
        """What checkpoints that count say must be here, and is not."""
        return {
            (epoch.epoch, number)
            for checkpoint in self.checkpoints.values()
            if all(self._has(checkpoint, route) for route in checkpoint.routes)
            for epoch in checkpoint.epochs
            for number in range(epoch.first, epoch.head + 1)
            if not any(low <= number <= high for low, high in epoch.pending)
            and (epoch.epoch, number) not in self.settled
        }

    def _has(self, checkpoint: Checkpoint, route: Route) -> bool:
        names = [f"kafka/t/{at}" for at in range(route.partitions or 0)] or ["http"]
        return all(self.arrived[name] >= checkpoint.number for name in names)


class MemoryJournal:
    """What a sender needs of a journal; opened anew by `reopen`, with everything that is pending."""

    def __init__(self) -> None:
        self.records: list[Stored] = []
        self.acknowledged: set[int] = set()
        self.checkpoints = 0
        self.epochs: list[UUID] = []
        self.moved = asyncio.Event()
        self.reopen()

    def reopen(self) -> None:
        self.epochs.append(UUID(int=len(self.epochs) + 1))

    def add(self, count: int) -> None:
        for _ in range(count):
            record = Record(LANE, 1_700_000_000_000_000, "bus", b"%d" % len(self.records))
            self.records.append(Stored(self.epochs[-1], len(self.records) + 1, record))
        self.moved.set()
        self.moved = asyncio.Event()

    @property
    def head(self) -> int:
        return len(self.records)

    @property
    def pending(self) -> int:
        return len(self.records) - len(self.acknowledged)

    async def take(self, after: int, max_records: int, _max_bytes: int) -> list[Stored]:
        waiting = [
            one
            for one in self.records
            if one.sequence > after and one.sequence not in self.acknowledged
        ]
        return waiting[:max_records]

    async def wait_beyond(self, sequence: int) -> None:
        while self.head <= sequence:
            await self.moved.wait()

    async def acknowledge(self, ranges: Sequence[tuple[int, int]]) -> None:
        for low, high in ranges:
            self.acknowledged.update(range(low, high + 1))

    async def set_aside(self, sequence: int, *, reason: str, detail: str) -> bool:
        raise AssertionError(f"{sequence} was set aside: {reason}, {detail}")

    async def checkpoint(self) -> tuple[int, tuple[CheckpointEpoch, ...]]:
        self.checkpoints += 1
        epochs = []
        for epoch in self.epochs:
            numbers = [one.sequence for one in self.records if one.epoch == epoch]
            first = numbers[0] if numbers else self.head + 1
            waiting = [number for number in numbers if number not in self.acknowledged]
            epochs.append(
                CheckpointEpoch(
                    epoch=epoch,
                    first=first,
                    head=numbers[-1] if numbers else first - 1,
                    pending=tuple(ranges_of(waiting)) if waiting else (),
                )
            )
        return self.checkpoints, tuple(epochs)

    async def confirm(self, told: Sequence[CheckpointEpoch]) -> None:
        """Forget nothing: epochs are few."""


def number_of(envelope: Envelope) -> Number:
    if envelope.publisherepoch is None or envelope.sequence is None:
        raise AssertionError("only checkpoints have no number")
    return envelope.publisherepoch, envelope.sequence


class Steps:
    """An event loop that a test turns by hand, until nothing more happens by itself."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = self.loop.create_task(work)
        self.turn()
        return task

    def turn(self, rounds: int = 60) -> None:
        for _ in range(rounds):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.turn()
        self.loop.close()
