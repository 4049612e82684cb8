"""The accounting of a workspace: every number in exactly one term.

received = accepted + unchanged + stale + duplicate + conflict + empty + quarantined
         + dead_lettered + dropped + in_flight + unaccounted
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from core_ingest.errors import translated
from core_ingest.ledger.barriers import inclusive
from core_ingest.ledger.compactor import compact
from core_ingest.ledger.numbers import NumberSet, Range
from core_ingest.outcome import OutcomeKind
from core_ingest.store.database import Connection
from core_ingest.store.queries import load

_SQL = load("core_ingest.ledger", "ledger.sql")

STRANDED_AFTER = timedelta(minutes=15)
"""An epoch that its publisher has not reported for so long leaves its pending numbers stranded.

A checkpoint reports it by whichever route comes first: while a queue is away none counts, and still
nobody is silent.
"""

_EPOCHS_AT_ONCE = 100


class Terms(BaseModel):
    """Numbers by what became of them. `received` are those of data messages, `control` the others.

    `in_flight` numbers were handed out and are not settled yet; `stranded` are those of epochs that
    their publisher no longer reports. `unaccounted` must read zero. `redelivered` copies stand
    outside.
    """

    model_config = ConfigDict(frozen=True)

    received: int = 0
    control: int = 0
    accepted: int = 0
    unchanged: int = 0
    stale: int = 0
    duplicate: int = 0
    conflict: int = 0
    empty: int = 0
    quarantined: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    in_flight: int = 0
    stranded: int = 0
    unaccounted: int = 0
    redelivered: int = 0


class PublisherAccount(Terms):
    """The terms of one publisher. `reported` is when its last checkpoint that counts arrived."""

    publisher: str
    epochs: int
    reported: datetime | None = None


class Accounting(Terms):
    """The terms of a workspace, and of each of its publishers."""

    publishers: tuple[PublisherAccount, ...] = Field(default=())


async def account(pool: asyncpg.Pool, workspace: str) -> Accounting:
    """Return the accounting of a workspace as of now, everything committed included.

    An unknown workspace has received nothing. Raises StoreUnavailable.
    """
    await compact(pool)
    with translated(repeated=False):
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            counts = await connection.fetch(_SQL["counts"], workspace)
            epochs = [epoch async for epoch in _epochs(connection, workspace)]
    return _summed(epochs, counts)


async def outstanding(connection: Connection) -> Counter[str]:
    """Return `unaccounted`, `in_flight` and `stranded` of all workspaces, as of the last compaction.

    Needs a transaction that sees one state (repeatable read). Epochs that are settled to the last
    number cost next to nothing.
    """
    total: Counter[str] = Counter()
    async for epoch in _epochs(connection, None):
        total.update(epoch.open)
    return total


@dataclass(frozen=True, slots=True)
class _Epoch:
    """An epoch's publisher, when it was last reported, and its unsettled numbers by term."""

    publisher: str
    reported: datetime | None
    open: dict[str, int]


async def _epochs(connection: Connection, workspace: str | None) -> AsyncIterator[_Epoch]:
    """Yield the epochs of a workspace, or of all those of which some number is not settled."""
    rows = await connection.fetch(_SQL["accounts"], workspace)
    for start in range(0, len(rows), _EPOCHS_AT_ONCE):
        part = rows[start : start + _EPOCHS_AT_ONCE]
        for row, settled in zip(part, await _settled(connection, part), strict=True):
            yield _Epoch(row["publisher"], row["reported"], _open(row, settled))


async def _settled(connection: Connection, epochs: list[asyncpg.Record]) -> list[NumberSet]:
    """Return the settled numbers of each epoch."""
    partial: list[dict[int, int]] = [{} for _ in epochs]
    accounts = [[row[column] for row in epochs] for column in ("workspace", "publisher", "epoch")]
    for place, block, numbers in await connection.fetch(_SQL["blocks_of"], *accounts):
        partial[place - 1][block] = int.from_bytes(numbers, "little")
    return [
        NumberSet(inclusive(row["settled"]), blocks)
        for row, blocks in zip(epochs, partial, strict=True)
    ]


def _summed(epochs: list[_Epoch], counts: list[asyncpg.Record]) -> Accounting:
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for row in counts:
        totals[row["publisher"]][row["outcome"]] += row["settled"]
        totals[row["publisher"]]["redelivered"] += row["redelivered"]
    reported: dict[str, datetime | None] = {}
    number_of_epochs: Counter[str] = Counter()
    for epoch in epochs:
        publisher = epoch.publisher
        number_of_epochs[publisher] += 1
        last = reported.get(publisher)
        reported[publisher] = max(filter(None, (last, epoch.reported)), default=None)
        totals[publisher].update(epoch.open)
    publishers = [
        PublisherAccount(
            publisher=name,
            epochs=number_of_epochs[name],
            reported=reported[name],
            **_terms(totals[name]),
        )
        for name in sorted(totals)
    ]
    everything: Counter[str] = sum(totals.values(), Counter())
    return Accounting(publishers=tuple(publishers), **_terms(everything))


_DATA = (
    OutcomeKind.ACCEPTED,
    OutcomeKind.UNCHANGED,
    OutcomeKind.STALE,
    OutcomeKind.DUPLICATE,
    OutcomeKind.CONFLICT,
    OutcomeKind.EMPTY,
    OutcomeKind.QUARANTINED,
    OutcomeKind.DEAD_LETTERED,
    "dropped",
    "in_flight",
    "unaccounted",
)


def _terms(total: Counter[str]) -> dict[str, int]:
    terms = {str(name): total[name] for name in _DATA}
    terms["received"] = sum(terms.values())
    return terms | {name: total[name] for name in ("control", "stranded", "redelivered")}


def _open(row: asyncpg.Record, settled: NumberSet) -> dict[str, int]:
    """Return the unsettled numbers of an epoch by term: handed out, whether we saw them or not."""
    bounds = [bound for bound in (row["first"], row["lowest"]) if bound is not None]
    first = min(bounds, default=0)
    head = first - 1 if row["head"] is None else row["head"]
    last = max(head, first - 1 if row["highest"] is None else row["highest"])
    missing = last - first + 1 - settled.count_within(first, last)
    pending = sum(_unsettled(settled, span) for span in inclusive(row["pending"]))
    unaccounted = head - first + 1 - settled.count_within(first, head) - pending
    in_flight = missing - unaccounted
    silent = row["silence"] is None or row["silence"] > STRANDED_AFTER
    return {
        "unaccounted": unaccounted,
        "in_flight": in_flight,
        "stranded": in_flight if silent else 0,
    }


def _unsettled(settled: NumberSet, span: Range) -> int:
    return span[1] - span[0] + 1 - settled.count_within(*span)
