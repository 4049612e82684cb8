"""Facts of any date: stored where they belong, at the cost of ordinary ones."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from core_ingest.door import Door, Principal
from core_ingest.handler import IngestHandler
from core_ingest.store.database import connect

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SPEED = "Vehicle.Speed"

Counted: TypeAlias = Callable[..., Awaitable[list[str]]]


@pytest.fixture
async def statements(database_url: str) -> AsyncIterator[Counted]:
    """Handle a batch and return the statements that this took. One connection serves it all."""
    pool = await connect(database_url, min_size=1, max_size=1)
    handler = IngestHandler(pool)
    log: list[str] = []

    def note(record: Any) -> None:
        log.append(record.query)

    async def counted(*batch: Any) -> list[str]:
        log.clear()
        async with pool.acquire() as connection:
            connection.add_query_logger(note)
        await handler.handle(batch, door=Door.HTTP, principal=Principal())
        async with pool.acquire() as connection:
            connection.remove_query_logger(note)
        return list(log)

    try:
        yield counted
    finally:
        await pool.close()


def dated(edge: "Edge", year: int, index: int) -> Any:
    at = datetime(year, 1 + index % 12, 1 + index % 28, tzinfo=UTC) + index * SECOND
    return edge.frame("speed", float(index), at.timestamp() * 1_000)


async def test_thousand_hostile_dates_take_no_more_statements_than_ordinary_ones(
    statements: Counted, edge: "Edge"
) -> None:
    ordinary = [edge.frame("speed", float(at), NOON + at * SECOND) for at in range(1_000)]
    hostile = [dated(edge, 1 + at * 9, at) for at in range(1_000)]
    await statements(edge.frame("speed", 1.0))
    usual = await statements(*ordinary)

    await statements(*hostile)  # makes the months from 2015 on that it needs, once
    again = await statements(*(dated(edge, 1 + at * 9, at + 12) for at in range(1_000)))

    assert len(usual) > 5
    assert len(again) <= len(usual) + 2


async def months(core: "Core") -> set[str]:
    """Return the names of the history's partitions."""
    rows = await core.pool.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'history'::regclass"
    )
    return {row["relname"] for row in rows}


async def test_months_are_made_where_facts_need_them_and_no_others(
    core: "Core", edge: "Edge"
) -> None:
    batch = [dated(edge, 2 + at * 9, at) for at in range(1_000)]
    batch += [dated(edge, year, 5) for year in (2014, 2015, 2025)]

    await core.take(*batch)

    made = await months(core)
    years = {int(name.split("_")[1]) for name in made - {"history_before_2015"}}
    assert {"history_before_2015", "history_2015_06", "history_2025_06"} <= made
    assert min(years) == 2015
    assert max(years) <= 2026
    assert await core.count("history_before_2015") == 224 + 1  # years 2 to 2009, and 2014
    assert await core.count("history_2015_06") == 1


async def test_clock_of_an_edge_makes_no_months_of_the_future(core: "Core", edge: "Edge") -> None:
    late = datetime(2900, 5, 5, tzinfo=UTC)
    batch = [
        edge.frame("speed", 1.0, late - timedelta(days=31 * months), received=late)
        for months in range(100)
    ]

    outcomes = await core.take(*batch, door=Door.KAFKA)

    assert set(outcomes) == {"dead_lettered: clock_ahead"}
    assert await months(core) == {"history_before_2015"}


@pytest.mark.parametrize(
    "at",
    [
        datetime(1, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(2014, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(2015, 1, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, 999_000, tzinfo=UTC),
    ],
)
async def test_fact_of_any_age_is_stored_and_found_again(
    core: "Core", edge: "Edge", at: datetime
) -> None:
    time = (at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)

    assert await core.take(edge.frame("speed", 1.0, round(time))) == ["accepted"]
    assert await core.take(edge.frame("speed", 1.0, round(time))) == ["duplicate"]
    assert await core.history() == {("bus_1", SPEED, at, 1.0)}


async def test_microseconds_survive_the_way_in_and_back(core: "Core", edge: "Edge") -> None:
    odd = [-1_000_000_000_000.001, -0.001, 0.001, 1_448_000_000_000.999, 1_769_000_000_123.457]
    frames = [edge.frame("speed", 1.0, time) for time in odd]

    assert set(await core.take(*frames)) <= {"accepted", "unchanged", "stale"}
    assert await core.take(*frames) == ["duplicate"] * len(odd)
