"""The shadow report: what came by HTTP, by Kafka, or both, and whether it is safe to switch."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from core_ingest.door import Door
from core_ingest.errors import translated
from core_ingest.ledger.barriers import inclusive
from core_ingest.ledger.compactor import compact
from core_ingest.ledger.parity import (
    Block,
    Numbers,
    Verdict,
    compare,
    decide,
    percentile,
    together,
)
from core_ingest.ledger.settlements import DELAY_BOUNDS
from core_ingest.ledger.shadow import SLOT, bits_of, slot_of
from core_ingest.store.database import Connection
from core_ingest.store.queries import load

_SQL = load("core_ingest.ledger", "shadow.sql")
_AT_ONCE = 50
_LAST_SLOT = datetime.max.replace(tzinfo=UTC) - 2 * SLOT

MOST_RANGES = 20
"""Ranges of missing numbers that a report lists, of each kind."""

LEAST = 1_000
"""Numbers that must have been judged, unless somebody asks for more or fewer."""


class NumberRange(BaseModel):
    """Numbers of an epoch from `first` to `last`, both inclusive."""

    model_config = ConfigDict(frozen=True)

    epoch: UUID
    first: int
    last: int


class Missing(BaseModel):
    """How many numbers, the first ranges of them, and how many more ranges there are."""

    model_config = ConfigDict(frozen=True)

    numbers: int = 0
    ranges: tuple[NumberRange, ...] = ()
    more_ranges: int = 0

    @classmethod
    def of(cls, numbers: Numbers, most: int) -> Self:
        """Return a set as it is reported."""
        found, more = numbers.ranges(most)
        return cls(
            numbers=len(numbers),
            ranges=tuple(NumberRange(epoch=epoch, first=a, last=b) for epoch, (a, b) in found),
            more_ranges=more,
        )


class Delays(BaseModel):
    """How long what came by a door took from receivedtime to its commit, copies included.

    A percentile is the upper bound (s) of the bucket that it lies in: null where there is none, or
    beyond the last bound. `counts` are by bucket; the last one is open.
    """

    model_config = ConfigDict(frozen=True)

    p50: float | None
    p90: float | None
    p99: float | None
    bounds: tuple[float, ...] = DELAY_BOUNDS
    counts: tuple[int, ...]

    @classmethod
    def of(cls, counts: list[int]) -> Self:
        """Return a distribution by its buckets."""
        p50, p90, p99 = (percentile(counts, DELAY_BOUNDS, share) for share in (0.5, 0.9, 0.99))
        return cls(p50=p50, p90=p90, p99=p99, counts=tuple(counts))


class PublisherShadow(BaseModel):
    """The report on a publisher. Only what must have come by now is judged.

    `barrier` is when the newest checkpoint was made that came by the copies too; `kept_from` is
    since when arrivals are kept, should that lie within the window. `under_way` numbers came one way
    at least, and cannot be judged yet.
    """

    model_config = ConfigDict(frozen=True)

    publisher: str
    verdict: Verdict
    reasons: tuple[str, ...]
    barrier: datetime | None
    kept_from: datetime
    judged: int
    both: int
    only_http: Missing
    only_kafka: Missing
    dead_by_kafka: Missing
    under_way: int
    http: Delays
    kafka: Delays


class ShadowReport(BaseModel):
    """The report on a workspace over [since, until): numbers that came first within it."""

    model_config = ConfigDict(frozen=True)

    workspace: str
    since: datetime
    until: datetime
    verdict: Verdict
    reasons: tuple[str, ...] = Field(default=(), description="Why, where no publisher says so.")
    publishers: tuple[PublisherShadow, ...]


async def report(  # noqa: PLR0913 — a report has this many coordinates
    pool: asyncpg.Pool,
    workspace: str | None,
    *,
    publisher: str | None = None,
    since: datetime,
    until: datetime,
    least: int = LEAST,
    most_ranges: int = MOST_RANGES,
) -> list[ShadowReport]:
    """Return the report on a workspace, or one for each whose publishers send copies.

    The window grows to whole slots of five minutes. Empty where there is no such workspace. Raises
    StoreUnavailable.
    """
    await compact(pool)
    since, end = slot_of(since), _slot_end(until)
    with translated(repeated=False):
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            asked = min(until, await connection.fetchval("SELECT now()"))
            return [
                _summed(
                    row["name"],
                    since,
                    end,
                    [
                        await _of_publisher(
                            connection, row["id"], found, (since, end), (asked, least, most_ranges)
                        )
                        for found in await connection.fetch(_SQL["reported"], row["id"], publisher)
                        if found["copying"] >= since
                    ],
                )
                for row in await connection.fetch(_SQL["workspaces"], workspace)
            ]


def _slot_end(until: datetime) -> datetime:
    begin = slot_of(until)
    return begin if begin == until else min(begin, _LAST_SLOT) + SLOT


def _summed(
    workspace: str, since: datetime, until: datetime, publishers: list[PublisherShadow]
) -> ShadowReport:
    reasons = () if publishers else ("no publisher sent copies (INGRESS_TRANSPORT=shadow)",)
    return ShadowReport(
        workspace=workspace,
        since=since,
        until=until,
        verdict=together([each.verdict for each in publishers]),
        reasons=reasons,
        publishers=tuple(publishers),
    )


async def _of_publisher(
    connection: Connection,
    workspace: int,
    found: asyncpg.Record,
    window: tuple[datetime, datetime],
    terms: tuple[datetime, int, int],
) -> PublisherShadow:
    """`terms` are by when all must have come, the least numbers to judge, the most ranges to list."""
    asked, least, most = terms
    since, end = max(window[0], slot_of(found["kept_from"])), window[1]
    key = (workspace, found["publisher"])
    blocks: dict[tuple[UUID, int], Block] = defaultdict(Block)
    delays = {door: [0] * (len(DELAY_BOUNDS) + 1) for door in (Door.HTTP, Door.KAFKA)}
    # A copy may have been settled shortly before what was counted as the first.
    async for row in connection.cursor(_SQL["since"], *key, since - SLOT, prefetch=_AT_ONCE):
        within = since <= row["slot"] < end
        _add(blocks[row["epoch"], row["block"]], row, within=within)
        if within and row["door"] in delays:
            door = Door(row["door"])
            delays[door] = [a + b for a, b in zip(delays[door], row["delays"], strict=True)]
    judged = {
        row["epoch"]: inclusive(row["judged"])
        for row in await connection.fetch(_SQL["judged"], *key)
    }
    parity = compare(blocks, judged)
    verdict, reasons = decide(parity, barrier=found["barrier"], end=asked, least=least)
    return PublisherShadow(
        publisher=found["publisher"],
        verdict=verdict,
        reasons=reasons,
        barrier=found["barrier"],
        kept_from=found["kept_from"],
        judged=parity.judged,
        both=parity.both,
        only_http=Missing.of(parity.only_http, most),
        only_kafka=Missing.of(parity.only_kafka, most),
        dead_by_kafka=Missing.of(parity.dead_by_kafka, most),
        under_way=parity.under_way,
        http=Delays.of(delays[Door.HTTP]),
        kafka=Delays.of(delays[Door.KAFKA]),
    )


def _add(block: Block, row: asyncpg.Record, *, within: bool) -> None:
    """Take a stored block in; `within` tells whether its slot belongs to the window."""
    if within:
        block.firsts |= bits_of(row["firsts"])
    if row["door"] == Door.HTTP:
        block.http |= bits_of(row["numbers"])
        block.http_dead |= bits_of(row["dead"])
    elif row["door"] == Door.KAFKA:
        block.kafka |= bits_of(row["numbers"])
        block.kafka_dead |= bits_of(row["dead"])
