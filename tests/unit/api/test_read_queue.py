import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from core_api.reads import NoSuchWorkspace, Reads, ReadsFull, cursor

pytestmark = pytest.mark.anyio


class BusyPool:
    """A pool whose connections answer nothing until they are let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.borrowed = 0

    @asynccontextmanager
    async def acquire(self, *, timeout: float) -> AsyncIterator["BusyPool"]:  # noqa: ASYNC109 — the driver's signature
        assert timeout > 0
        self.borrowed += 1
        yield self
        self.borrowed -= 1

    async def fetchval(self, *_: Any, **__: Any) -> None:
        await self.let.wait()


async def test_reads_beyond_the_connections_wait_and_beyond_the_queue_are_refused() -> None:
    pool = BusyPool()
    reads = Reads(cast("Any", pool), connections=2, seconds=10)
    waiting = [asyncio.create_task(reads.vehicles("acme", after=None, limit=1)) for _ in range(18)]
    await asyncio.sleep(0)

    assert pool.borrowed == 2
    with pytest.raises(ReadsFull):
        await reads.vehicles("acme", after=None, limit=1)
    pool.let.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {NoSuchWorkspace}
    with pytest.raises(NoSuchWorkspace):
        await reads.vehicles("acme", after=None, limit=1)


def test_cursor_is_an_instant_that_urls_keep() -> None:
    instant = datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(microseconds=5)

    assert cursor(instant) == "2026-01-31T12:00:00.000005Z"
