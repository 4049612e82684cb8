"""The accounting of a workspace: every number in exactly one term.

received = accepted + unchanged + stale + duplicate + conflict + empty + quarantined
         + dead_lettered + dropped + in_flight + unaccounted
"""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from core_ingest.errors import translated
from core_ingest.ledger.barriers import inclusive
from core_ingest.ledger.compactor import compact, load_epoch
from core_ingest.ledger.numbers import NumberSet, Range
from core_ingest.outcome import OutcomeKind
from core_ingest.store.queries import load

_SQL = load("core_ingest.ledger", "ledger.sql")

STRANDED_AFTER = timedelta(minutes=15)
"""An epoch that its publisher has not reported for so long leaves its pending numbers stranded."""


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
            number = await connection.fetchval(_SQL["workspace"], workspace)
            epochs = await connection.fetch(_SQL["accounts"], workspace)
            counts = await connection.fetch(_SQL["counts"], workspace)
            settled = {
                (row["publisher"], row["epoch"]): (
                    await load_epoch(connection, (number, row["publisher"], row["epoch"]))
                ).numbers
                for row in epochs
            }
    return _summed(epochs, counts, settled)


def _summed(
    epochs: list[asyncpg.Record],
    counts: list[asyncpg.Record],
    settled: dict[tuple[str, UUID], NumberSet],
) -> Accounting:
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for row in counts:
        totals[row["publisher"]][row["outcome"]] += row["settled"]
        totals[row["publisher"]]["redelivered"] += row["redelivered"]
    reported: dict[str, datetime | None] = {}
    number_of_epochs: Counter[str] = Counter()
    for row in epochs:
        publisher = row["publisher"]
        number_of_epochs[publisher] += 1
        last = reported.get(publisher)
        reported[publisher] = max(filter(None, (last, row["reported"])), default=None)
        totals[publisher].update(_open(row, settled[publisher, row["epoch"]]))
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
