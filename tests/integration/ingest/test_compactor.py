"""The compactor folds what was appended, at any number of processes, and outlives its database."""

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from core_ingest.ledger.compactor import Compactor, compact
from core_ingest.ledger.numbers import BLOCK
from core_ingest.store.database import connect

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio


async def test_compactor_folds_what_was_appended_and_removes_it(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 40.0), edge.frame("speed", "fast"))
    await core.take(edge.frame("odo", 40.0))
    assert await core.count("settlements") == 3

    assert await compact(core.pool) == 3
    assert await compact(core.pool) == 0

    assert await core.count("settlements") == 0
    assert await core.accounted() == {"received": 3, "accepted": 2, "dead_lettered": 1}


async def test_several_compactors_and_handlers_at_once_count_every_number_once(
    core: "Core", edge: "Edge", database_url: str
) -> None:
    others = [await connect(database_url, max_size=2) for _ in range(2)]

    async def deliver(start: int) -> None:
        for low in range(start, start + 100, 10):
            await core.settle(edge, range(low, low + 15))

    async def fold(pool: Any) -> int:
        return sum([await compact(pool) for _ in range(8)])

    try:
        folded = await asyncio.gather(
            *(fold(pool) for pool in [core.pool, *others]),
            *(deliver(start) for start in (0, 100, 200)),
        )
    finally:
        for pool in others:
            await pool.close()

    assert sum(number for number in folded if number) + await compact(core.pool) == 30
    assert await core.accounted() == {"received": 305, "accepted": 305, "redelivered": 145}


async def test_full_blocks_become_ranges(core: "Core", edge: "Edge") -> None:
    await core.settle(edge, range(10, 2 * BLOCK))
    await compact(core.pool)
    assert await core.count("ledger_blocks") == 1

    await core.settle(edge, range(10))
    await core.settle(edge, [5, BLOCK + 5, 3 * BLOCK])
    await compact(core.pool)

    blocks = await core.pool.fetch("SELECT block, numbers FROM ledger_blocks")
    assert [tuple(row) for row in blocks] == [(3, b"\x01")]
    (full,) = await core.pool.fetchval("SELECT settled FROM ledger_epochs")
    assert (full.lower, full.upper) == (0, 2 * BLOCK)
    assert await core.accounted() == {
        "received": 3 * BLOCK + 1,
        "accepted": 2 * BLOCK + 1,
        "in_flight": BLOCK,
        "stranded": BLOCK,
        "redelivered": 2,
    }


class Stop:
    """Asks to stop from the beginning."""

    async def wait(self) -> None:
        return None


async def test_compactor_folds_before_it_stops(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0))

    await Compactor(core.pool).run(Stop())

    assert await core.count("settlements") == 0


async def test_compactor_outlives_what_the_database_refuses(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0))
    await core.pool.execute("ALTER TABLE ledger_epochs ADD CHECK (lowest > 0)")

    await Compactor(core.pool).run(Stop())

    assert await core.count("settlements") == 1


async def test_compactor_outlives_an_outage(database_url: str) -> None:
    pool = await connect(database_url)
    await pool.close()

    await Compactor(pool).run(Stop())


class Intermittent:
    """A pool whose database is away whenever `outages` says so; the last word stands."""

    def __init__(self, pool: asyncpg.Pool, outages: list[bool]) -> None:
        self.pool = pool
        self.outages = outages
        self.over = asyncio.Event()

    def acquire(self) -> Any:
        away = self.outages[0]
        if len(self.outages) > 1:
            self.outages.pop(0)
        else:
            self.over.set()
        if away:
            raise ConnectionRefusedError("refused")
        return self.pool.acquire()


async def test_outage_is_told_once_when_it_begins_and_once_when_it_ends(core: "Core") -> None:
    pool: Any = Intermittent(core.pool, [False, True, True, True, False, False, True])

    class OverAtTheEnd:
        async def wait(self) -> object:
            return await pool.over.wait()

    with capture_logs() as told:
        await Compactor(pool, 0.001).run(OverAtTheEnd())

    events = ["database_away", "database_back", "database_away"]
    assert [entry["event"] for entry in told] == events
    assert told[0]["error"] == "the database cannot be reached: refused"
