"""The one handler: interpret, decide, one transaction. Every door hands its envelopes to it."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter
from typing import TypeAlias

import structlog
from prometheus_client import Counter, Histogram

from core_ingest import traces
from core_ingest.door import Door, Principal
from core_ingest.errors import (
    ClockAhead,
    Contention,
    DataRefused,
    IngestError,
    StoreUnavailable,
    translated,
)
from core_ingest.hops import Passage
from core_ingest.item import WHOLE, DeadLetter, Fate, Item, item_of, place
from core_ingest.outcome import Outcome
from core_ingest.persist import Persistence, Step
from core_ingest.prepared import Preparation
from core_ingest.providers import Interpreter, interpreters
from core_ingest.store.database import Connection, Connections
from core_ingest.store.identities import Identities
from core_ingest.store.partitions import Partitions
from core_ingest.store.transaction import Transaction
from core_ingest.tally import Tally
from core_ingest.unreadable import Unreadable
from ingress_contracts.envelope import Envelope

BATCH_ENVELOPES = Histogram(
    "core_ingest_batch_envelopes",
    "Envelopes of one transaction of the handler.",
    buckets=(1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000),
)
BATCH_SECONDS = Histogram(
    "core_ingest_batch_seconds", "Time that a batch took in the handler, repetitions included."
)
RETRIES = Counter(
    "core_ingest_batch_retries_total",
    "Transactions begun again: they met another one (contention), or the database refused data.",
    ("cause",),
)
for _cause in ("contention", "data"):
    RETRIES.labels(_cause)

log = structlog.get_logger()

Within: TypeAlias = Callable[[Connection], Awaitable[object]]
"""A statement that joins the handler's transaction, and runs again when that is retried."""

Record: TypeAlias = Callable[[Connection, Sequence[Fate]], Awaitable[object]]
"""Joins the transaction once all is stored, with what became of each envelope; it too runs again."""

Result: TypeAlias = list[Outcome] | ClockAhead
"""One outcome an envelope, or why nothing of a delivery was committed."""

_ATTEMPTS = 10
_FIRST_PAUSE = 0.005
_ASSUMED_SKEW = 300_000_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One caller's batch, or what a queue's partition holds next.

    `route` is the way that it took, if that is more than the door: `kafka/{topic}/{partition}`. A
    queue gives the `offsets` too, one for each envelope: the origin of dead letters that have no
    number of their own. It takes nothing back, so what would be refused is a dead letter there.
    A replay gives the `origins`, one for each envelope, under which its dead letters are kept.
    `passage` tells when it came, for the metrics.
    """

    envelopes: Sequence[Envelope | Unreadable]
    door: Door
    principal: Principal
    route: str | None = None
    offsets: Sequence[int] = ()
    origins: Sequence[str] = ()
    passage: Passage | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """A delivery as far as that needs no database: its items, and by place what is no envelope."""

    delivery: Delivery
    items: list[Item]
    unreadable: list[tuple[int, Unreadable]]

    def outcomes(self) -> list[Outcome]:
        """Return one outcome an envelope, in order."""
        found = [item.concluded for item in self.items]
        for index, one in self.unreadable:
            found.insert(index, one.outcome)
        return found

    def letters(self) -> Iterator[tuple[str, Door, Unreadable]]:
        """Yield what is no envelope with its origin."""
        delivery = self.delivery
        for index, one in self.unreadable:
            if delivery.origins:
                origin = delivery.origins[index]
            else:
                origin = place(delivery.route or "", delivery.offsets[index])
            yield origin, delivery.door, one

    def fates(self) -> list[Fate]:
        """Return the outcomes, each with the dead letters that go with it."""
        found = [Fate(item.concluded, item.dead_letters) for item in self.items]
        for index, one in self.unreadable:
            found.insert(index, Fate(one.outcome, [DeadLetter(WHOLE, one.reason, one.detail)]))
        return found


async def _go_on(_step: str) -> None:
    """Do nothing between steps."""


def _nothing() -> None:
    """Do nothing."""


def _wall() -> int:
    """Return the time in µs since the epoch."""
    return time.time_ns() // 1_000


class IngestHandler:
    """Takes batches of envelopes and commits what becomes of them.

    Safe for concurrent use: each call takes a connection of the pool. `step` is called between the
    steps of a transaction, for tests and trials that stop there. `wall` is the clock (µs since the
    epoch) by which commits are measured, the same as the doors'.
    """

    def __init__(
        self,
        pool: Connections,
        *,
        step: Step = _go_on,
        plugins: Mapping[str, Interpreter] | None = None,
        wall: Callable[[], int] = _wall,
    ) -> None:
        self._pool = pool
        self._step = step
        self._interpreters = interpreters() if plugins is None else plugins
        self._tally = Tally(self._interpreters)
        self._wall = wall
        self._preparation = Preparation(Identities(pool), Partitions(pool))
        self._skew = _ASSUMED_SKEW

    async def handle(
        self,
        envelopes: Sequence[Envelope],
        *,
        door: Door,
        principal: Principal,
        within: Sequence[Within] = (),
    ) -> list[Outcome]:
        """Commit a batch and return one outcome an envelope, in order.

        `within` are statements that join the transaction. Raises StoreUnavailable or ClockAhead when
        nothing was committed, and whatever `within` raises.
        """
        result = (await self._run([Delivery(envelopes, door, principal)], within))[0]
        if isinstance(result, ClockAhead):
            raise result
        return result

    async def handle_together(
        self, deliveries: Sequence[Delivery], *, locked: Callable[[], None] = _nothing
    ) -> list[Result]:
        """Commit several callers' batches in one transaction; one result a delivery, in order.

        `locked` is called once the assets are locked: whatever begins after that comes after this
        batch. What is wrong with one delivery never fails another. Raises StoreUnavailable when
        nothing was committed.
        """
        return await self._run(deliveries, (), locked)

    async def handle_again(self, deliveries: Sequence[Delivery], record: Record) -> list[Result]:
        """Commit a replay of dead letters in one transaction; one result a delivery, in order.

        `record` writes down in it what became of them. Raises StoreUnavailable when nothing was
        committed, and whatever `record` raises.
        """
        return await self._run(deliveries, (), record=record)

    async def _run(
        self,
        deliveries: Sequence[Delivery],
        within: Sequence[Within],
        locked: Callable[[], None] = _nothing,
        record: Record | None = None,
    ) -> list[Result]:
        """Repeat the transaction while a repetition can help; each starts from the envelopes."""
        careful = False
        begun = perf_counter()
        for attempt in range(_ATTEMPTS):
            batch = [self._read(delivery) for delivery in deliveries]
            try:
                results = await self._commit(batch, within, locked, record, careful=careful)
            except Contention:
                RETRIES.labels("contention").inc()
                pause = random.uniform(0, _FIRST_PAUSE * 2**attempt)  # noqa: S311 — jitter
                await asyncio.sleep(pause)
            except DataRefused as error:
                if careful:
                    raise IngestError(
                        f"a statement that joined the batch failed: {error}"
                    ) from error
                careful = True
                RETRIES.labels("data").inc()
                self._preparation.forget()
            else:
                try:
                    self._count(batch, results)
                except Exception:  # it is committed: no metric may have it stored again
                    log.exception("batch_not_measured")
                BATCH_SECONDS.observe(perf_counter() - begun)
                return results
        raise StoreUnavailable(f"the batch met other ones {_ATTEMPTS} times in a row; try again")

    def _count(self, batch: Sequence[_Read], results: Sequence[Result]) -> None:
        """Measure what was committed just now."""
        committed = self._wall()
        BATCH_ENVELOPES.observe(sum(len(read.delivery.envelopes) for read in batch))
        for read, result in zip(batch, results, strict=True):
            if not isinstance(result, ClockAhead):
                delivery = read.delivery
                outcomes = [item.concluded for item in read.items] if read.unreadable else result
                self._tally.count(read.items, outcomes, delivery.door, delivery.passage, committed)
                traces.follow(read.items, delivery.passage, committed)
                if read.unreadable:
                    reasons = [one.reason for _, one in read.unreadable]
                    self._tally.count_unreadable(reasons, delivery.door)

    def _read(self, delivery: Delivery) -> _Read:
        door, principal, route = delivery.door, delivery.principal, delivery.route
        number = len(delivery.envelopes)
        items, unreadable = [], []
        for index, (envelope, offset, kept) in enumerate(
            zip(
                delivery.envelopes,
                delivery.offsets or repeat(None, number),
                delivery.origins or repeat(None, number),
                strict=True,
            )
        ):
            if isinstance(envelope, Unreadable):
                unreadable.append((index, envelope))
            else:
                items.append(
                    item_of(envelope, door, principal, self._interpreters, route, offset, kept)
                )
        if delivery.passage is not None and delivery.passage.sendings:
            gone = {index for index, _ in unreadable}
            sent = (at for index, at in enumerate(delivery.passage.sendings) if index not in gone)
            for item, at in zip(items, sent, strict=True):
                item.sent = at
        return _Read(delivery, items, unreadable)

    async def _commit(
        self,
        batch: list[_Read],
        within: Sequence[Within],
        locked: Callable[[], None],
        record: Record | None,
        *,
        careful: bool,
    ) -> list[Result]:
        prepared = await self._preparation.prepare(
            (item for read in batch for item in read.items if not item.refused),
            self._skew,
            (one.workspace for read in batch for _, one in read.unreadable),
        )
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                transaction = Transaction(connection)
                now, self._skew = await transaction.limits()
                if self._skew != prepared.skew:
                    raise Contention("the skew was changed")
                late = [_clock_ahead(read.items, now, self._skew) for read in batch]
                taken = [read for read, error in zip(batch, late, strict=True) if error is None]
                live = [item for read in taken for item in read.items if not item.refused]
                await transaction.lock(prepared.asset_keys(live))
                locked()
                await self._step("locked")
                persistence = Persistence(transaction, prepared, now, self._step)
                await (persistence.store_survivors if careful else persistence.store)(live)
                if letters := [letter for read in taken for letter in read.letters()]:
                    await persistence.store_unreadable(letters)
                for statement in within:
                    await statement(connection)
                if record is not None:
                    await record(connection, [fate for read in taken for fate in read.fates()])
                await self._step("stored")
        await self._step("committed")
        return [
            read.outcomes() if error is None else error
            for read, error in zip(batch, late, strict=True)
        ]


def _clock_ahead(items: list[Item], now: int, skew: int) -> ClockAhead | None:
    """Return the error of a delivery whose edge lives in the future: of its furthest envelope.

    A queue cannot tell its publisher to wait, nor can a replay: there it makes dead letters.
    """
    furthest = None
    for item in items:
        if item.received > now + skew and not item.refused:
            if not item.door.takes_back:
                item.dead_letter("clock_ahead", str(_ahead(item, now, skew)))
            elif furthest is None or item.received > furthest.received:
                furthest = item
    return None if furthest is None else _ahead(furthest, now, skew)


def _ahead(item: Item, now: int, skew: int) -> ClockAhead:
    return ClockAhead(item.envelope.publisherid, (item.received - now) / 1e6, skew / 1e6)
