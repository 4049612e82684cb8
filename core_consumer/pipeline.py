"""From a poll to a committed offset: one batch in work, the next one read meanwhile.

Postgres commits, then the explicit offsets; nothing else acknowledges. Whatever cannot be stored now
is read again: the partitions are held (polling goes on, so the group keeps this member) and sought
back. What happens to a batch that nobody finishes is harmless: facts are a set, and the first
settlement of a number counts.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from time import monotonic, perf_counter

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from prometheus_client import Counter, Enum, Histogram

from core_consumer.batch import Batch, Part, Record, parts
from core_consumer.breaker import Breaker
from core_consumer.interfaces import Consumer, Handler
from core_consumer.positions import Place, Positions
from core_consumer.resets import Resets
from core_ingest.errors import ClockAhead, IngestError
from core_ingest.handler import Result
from core_ingest.outcome import Outcome
from ingress_runtime import faults
from ingress_runtime.backoff import Backoff
from ingress_runtime.faults import Point
from ingress_runtime.held import Clock, HeldSeconds

RECORDS = Counter("core_consumer_records", "Records that were stored, and acknowledged after it.")
BATCH_RECORDS = Histogram(
    "core_consumer_batch_records",
    "Records that shared a transaction.",
    buckets=(1, 10, 100, 500, 1_000, 2_500, 5_000, 10_000, 50_000),
)
BATCH_SECONDS = Histogram(
    "core_consumer_batch_seconds", "Time from a batch's decoding to its committed offsets."
)
FAILURES = Counter(
    "core_consumer_batch_failures", "Batches that could not be stored and are read again."
)
ABANDONED = Counter(
    "core_consumer_batches_abandoned", "Batches given up because their partitions moved."
)
STATE = Enum(
    "core_consumer_state",
    "What the consumer does: flowing, or why its partitions are held.",
    states=["flowing", "slow", "retry", "breaker", "closing"],
)
HELD_SECONDS = HeldSeconds(
    "core_consumer_held_seconds_total",
    "Time in which the partitions were held, by reason; a hold counts while it goes on.",
    ("reason",),
    known=[("slow",), ("retry",), ("breaker",), ("closing",)],
)

_ROLLBACK_SECONDS = 1.0
"""A database that hangs may never tell that a transaction was rolled back."""

log = structlog.get_logger()


class Hold(IntEnum):
    """Why the partitions are held. The greater reason stays."""

    SLOW = 1
    """The batch in work takes long."""

    RETRY = 2
    """The last batch could not be stored; it will be tried again."""

    BREAKER = 3
    """Nearly everything was rejected; somebody must look."""

    CLOSING = 4
    """The process is to end."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long (s) a poll may wait for the batch in work, and a rebalance; pauses between attempts.

    `clock` tells how long the partitions were held.
    """

    patience: float
    farewell: float
    backoff: Backoff
    clock: Clock = monotonic


class Pipeline:
    """Takes what polls bring, in order, and commits the offsets of what is stored."""

    def __init__(  # noqa: PLR0913 — chance and clock are injected, each by its name
        self,
        handler: Handler,
        consumer: Callable[[], Consumer],
        *,
        breaker: Breaker,
        pace: Pace,
        dice: Callable[[], float] = random.random,
        wall: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self._handler = handler
        self._consumer = consumer
        self._breaker = breaker
        self._pace = pace
        self._dice = dice
        self._wall = wall
        self.positions = Positions()
        self._resets = Resets(self.positions)
        self._work: asyncio.Task[None] | None = None
        self._held: Hold | None = None
        self._held_seconds = HELD_SECONDS.hold(pace.clock)
        self._generation = 0
        self._moving = False
        self._failures = 0
        self.objection: str | None = None
        STATE.state("flowing")

    @property
    def held(self) -> Hold | None:
        """Why nothing is consumed now, if that is so."""
        return self._held

    async def take(self, records: Sequence[Record]) -> None:
        """Take what a poll brought, and return when the next poll may follow. Never raises."""
        arrived = self._wall()
        found = parts(records)
        try:
            await self._take(found, arrived)
        except Exception as error:  # whatever was raised: no record is passed over
            log.exception("batch_failed_unexpectedly")
            self._fail({part.place: part.first for part in found}, error)

    async def _take(self, found: Sequence[Part], arrived: int) -> None:
        if self._moving:  # it is not known yet where the group stands in its new partitions
            self._fetch_again(found)
            self._pause()
            return
        generation, failures = self._generation, self._failures
        beginnings = await self._resets.beginnings(found, self._consumer())
        if generation != self._generation:
            return  # its partitions were moved; whoever has them reads it again
        if self._failures > failures:  # the batch before is to be read again, and it comes first
            self._fetch_again(found)
            return
        batch = self._received(found, beginnings, arrived)
        for _ in batch.read():
            await asyncio.sleep(0)  # the transaction of the batch before goes on meanwhile
        if self._held is None:
            await self._await_work()
        if generation != self._generation:
            return  # likewise
        if self._held is not None or self._failures > failures:
            # The batch before is not stored, also where the pause after its failure is over.
            self._rewind(batch.starts)
            if self._held is not None:
                self._pause()
        elif batch.parts:
            self._work = asyncio.create_task(self._process(batch))

    def _received(
        self, found: Sequence[Part], beginnings: Mapping[Place, int], arrived: int
    ) -> Batch:
        fresh = self._resets.continuing(found, beginnings, self._consumer())
        for part in fresh:
            self.positions.receive(part.place, part.first, part.following)
        return Batch(fresh, arrived)

    def _fetch_again(self, found: Sequence[Part]) -> None:
        """Let what no note was taken of come again, behind what is expected before it."""
        self._seek({part.place: self.positions.next(part.place, part.first) for part in found})

    async def _await_work(self) -> None:
        """Wait for the batch in work; where that takes long, hold the partitions and poll on."""
        if self._work is None:
            return
        done, _ = await asyncio.wait({self._work}, timeout=self._pace.patience)
        if not done:
            log.info("batch_takes_long", patience_seconds=self._pace.patience)
            self._hold(Hold.SLOW)

    async def _process(self, batch: Batch) -> None:
        """Store a batch and commit its offsets, or see to it that it is read again."""
        self.positions.begin(batch.oldest)
        started = perf_counter()
        try:
            outcomes = _outcomes(await self._handler.handle_together(batch.deliveries))
            if self._breaker.observe(outcomes):
                self._stop_consuming(batch)
                return
            faults.passed(Point.OFFSETS_UNCOMMITTED)
            await self._commit(batch)
        except Exception as error:
            if not isinstance(error, IngestError | KafkaError):
                log.exception("batch_failed_unexpectedly")
            self._fail(batch.starts, error)
        else:
            self._failures = 0
            self.objection = None
            BATCH_RECORDS.observe(batch.size)
            BATCH_SECONDS.observe(perf_counter() - started)
            RECORDS.inc(batch.size)
            log.debug(
                "batch_committed",
                records=batch.size,
                partitions=len(batch.parts),
                seconds=round(perf_counter() - started, 3),
            )
        finally:
            self._release(Hold.SLOW)

    async def _commit(self, batch: Batch) -> None:
        offsets = batch.offsets
        try:
            await self._consumer().commit(
                {TopicPartition(*place): offset for place, offset in offsets.items()}
            )
        except (CommitFailedError, IllegalStateError) as error:
            # The group has moved on. Whoever has the partitions now reads the batch again.
            log.info("offsets_not_committed", why=str(error))
        else:
            self.positions.commit(offsets)

    def _fail(self, starts: Mapping[Place, int], error: Exception) -> None:
        """Read from `starts` again, after a pause."""
        delay = self._pace.backoff.delay(self._failures, self._dice)
        self._failures += 1
        FAILURES.inc()
        self._rewind(starts)
        why = str(error) or type(error).__name__
        self._hold(Hold.RETRY, why)
        asyncio.get_running_loop().call_later(delay, self._release, Hold.RETRY)
        log.warning(
            "batch_will_be_repeated",
            why=why,
            failures=self._failures,
            pause_seconds=round(delay, 3),
        )

    def _stop_consuming(self, batch: Batch) -> None:
        """Stop: the dead letters are kept, but no offset is committed past them."""
        rejected, seen = self._breaker.rejected
        self._rewind(batch.starts)
        why = (
            f"{rejected} of the newest {seen} records were rejected, so this consumer has stopped. "
            "Look at their reasons (table dead_letters), mend the cause, then restart it"
        )
        log.error("consumption_stopped", rejected=rejected, seen=seen, why=why)
        self._hold(Hold.BREAKER, why)

    async def revoke(self) -> None:
        """Finish the batch in work, or give it up: the partitions are about to move."""
        self._generation += 1
        self._moving = True
        if not await self._finished(self._pace.farewell):
            ABANDONED.inc()
            log.warning("batch_abandoned", waited_seconds=self._pace.farewell)
        self.positions.assign({})

    def assign(self, committed: Mapping[Place, int | None]) -> None:
        """Begin with these partitions, at what the group has committed."""
        self._moving = False
        self.positions.assign(committed)
        if self._held is not None:
            self._pause()
        else:
            self._resume()

    async def close(self, within: float) -> bool:
        """Take nothing more; return whether the batch in work was finished `within` seconds.

        One that was not is given up, which may take a second more.
        """
        self._hold(Hold.CLOSING)
        return await self._finished(within)

    async def _finished(self, within: float) -> bool:
        """Return whether nothing is in work any more, else cancel it."""
        if self._work is None:
            return True
        done, _ = await asyncio.wait({self._work}, timeout=within)
        if not done:
            self._work.cancel()
            await asyncio.wait({self._work}, timeout=min(within, _ROLLBACK_SECONDS))
        return bool(done)

    def _rewind(self, starts: Mapping[Place, int]) -> None:
        """Read from `starts` again. Were a seek to fail, `Resets` would notice the gap."""
        self._seek(self.positions.rewind(starts))

    def _seek(self, offsets: Mapping[Place, int]) -> None:
        consumer = self._consumer()
        ours = consumer.assignment()
        for place, offset in offsets.items():
            if TopicPartition(*place) in ours:
                consumer.seek(TopicPartition(*place), offset)

    def _hold(self, reason: Hold, why: str | None = None) -> None:
        if self._held is None or reason >= self._held:
            self._held = reason
            self.objection = why or self.objection
            STATE.state(reason.name.lower())
            self._held_seconds.begin(reason.name.lower())
        self._pause()

    def _pause(self) -> None:
        consumer = self._consumer()
        consumer.pause(*consumer.assignment())

    def _release(self, reason: Hold) -> None:
        if self._held is not reason:
            return
        self._held = None  # an objection stays until a batch is stored
        STATE.state("flowing")
        self._held_seconds.end()
        self._resume()

    def _resume(self) -> None:
        consumer = self._consumer()
        consumer.resume(*consumer.assignment())


def _outcomes(results: Sequence[Result]) -> list[list[Outcome]]:
    found = []
    for result in results:
        if isinstance(result, ClockAhead):  # the handler makes dead letters of what a queue brings
            raise result
        found.append(result)
    return found
