"""What the pool measures: its statements, its connections, and the wait for one."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from prometheus_client import REGISTRY

from core_ingest.store.database import connect
from core_ingest.store.queries import load

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio


def statements() -> dict[str, float]:
    """Return how often each statement was measured so far."""
    return {
        sample.labels["statement"]: sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "core_ingest_statement_seconds_count"
    }


def counted(before: dict[str, float]) -> dict[str, float]:
    """Return how often each was measured since then."""
    found = {name: count - before.get(name, 0) for name, count in statements().items()}
    return {name: count for name, count in found.items() if count}


def connections() -> tuple[float | None, float | None, float | None]:
    """Return how many are idle, in use, and allowed."""
    name = "core_ingest_database_connections"
    return (
        REGISTRY.get_sample_value(name, {"state": "idle"}),
        REGISTRY.get_sample_value(name, {"state": "in_use"}),
        REGISTRY.get_sample_value(f"{name}_limit"),
    )


async def test_statements_of_a_batch_are_measured_by_name_and_once_a_batch(
    core: "Core", edge: "Edge"
) -> None:
    await core.take(edge.frame("speed", 1.0))  # makes vehicle, signal and partition
    before = statements()

    await core.take(*(edge.frame("speed", float(at), at * 1_000_000) for at in range(50)))

    found = counted(before)
    assert found["ingest.lock_assets"] == found["ingest.marks"] == found["copy.history"] == 1
    assert found["begin"] == found["commit"] == found["reset"] == 1
    assert "other" not in found


async def test_statement_that_fails_is_measured_too(core: "Core") -> None:
    before = statements()

    with pytest.raises(asyncpg.PostgresError):
        await core.pool.execute(load("core_ingest.store", "sql/ingest.sql")["lock_assets"], 1, 2)

    assert counted(before)["ingest.lock_assets"] == 1


async def test_texts_without_a_name_share_few_series(core: "Core") -> None:
    async with core.pool.acquire() as connection:
        for number in range(20):
            await connection.execute(f"SELECT {number}")
        async with connection.transaction():
            for _ in range(20):
                async with connection.transaction():
                    await connection.fetchval("SELECT $1::int", 1)
    known = set(statements())
    before = statements()

    async with core.pool.acquire() as connection, connection.transaction():
        for number in range(20):
            async with connection.transaction():
                assert await connection.fetchrow(f"SELECT {number + 100}")

    assert set(statements()) == known
    assert counted(before) == {"begin": 1, "commit": 1, "savepoint": 40, "other": 20, "reset": 1}


@pytest.mark.usefixtures("core")
async def test_connections_are_those_of_all_pools_that_are_open(database_url: str) -> None:
    idle, in_use, limit = (value or 0 for value in connections())
    other = await connect(database_url, min_size=2, max_size=5)
    try:
        assert connections() == (idle + 2, in_use, limit + 5)
        async with other.acquire():
            assert connections() == (idle + 1, in_use + 1, limit + 5)
    finally:
        await other.close()

    assert connections() == (idle, in_use, limit)


async def test_wait_for_a_connection_is_measured_also_where_there_is_none(
    database_url: str,
) -> None:
    def waited(kind: str) -> float:
        name = f"core_ingest_database_acquire_seconds_{kind}"
        return REGISTRY.get_sample_value(name) or 0.0

    pool = await connect(database_url, min_size=1, max_size=1)
    try:
        before = waited("count"), waited("sum")
        async with pool.acquire():
            with pytest.raises(TimeoutError):
                async with pool.acquire(timeout=0.01):
                    raise AssertionError("there is but one connection")
        await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(3)))
        assert waited("count") == before[0] + 5
        assert waited("sum") >= before[1] + 0.01
    finally:
        await pool.close()
