"""What metrics cost: the handler as it is shipped, beside one that counts and observes nothing."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from unittest.mock import patch

import asyncpg
import click

from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.hops import Passage
from core_ingest.store import database
from core_ingest.store.pool import Pool
from ingress_contracts.envelope import Envelope
from ingress_testbed.bench.contenders import TRANSACTION, parts
from ingress_testbed.bench.measure import Contender, interleaved, storing
from ingress_testbed.bench.workloads import Workload

_SMALL = 100
_MICRO = 1e6


class _Unmetered(IngestHandler):
    """A handler that measures nothing of its batches but their time."""

    def _count(self, *_: object) -> None:
        """Measure nothing."""


@dataclass(slots=True)
class _Spent:
    """What one handler has taken: messages, and for them seconds by the clock and of CPU."""

    messages: int = 0
    seconds: float = 0.0
    cpu: float = 0.0


async def bench(url: str, workloads: Sequence[Workload], rounds: int) -> None:
    """Measure both handlers on each workload, in large and small transactions, and print ratios."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(_connected(url))
        handlers = (
            IngestHandler(await stack.enter_async_context(_pool(url, metered=True))),
            _Unmetered(await stack.enter_async_context(_pool(url, metered=False))),
        )
        for workload in workloads:
            for size in (TRANSACTION, _SMALL):
                found: list[tuple[_Spent, _Spent]] = []
                trial = storing(connection, _in_turn(handlers, size, found), workload)
                what = f"{workload.name}, transactions of {size:,}"
                # One round to warm up; then each handler has every transaction as often.
                await interleaved(what, {"in turn": trial}, 1 + 2 * rounds)
                _show(what, found[1:])


def _in_turn(
    handlers: tuple[IngestHandler, IngestHandler], size: int, found: list[tuple[_Spent, _Spent]]
) -> Contender:
    """Hand batches to both in turn, as a queue's door does; the next time the other one begins."""

    async def run(workload: Workload) -> float:
        spent = _Spent(), _Spent()
        for number, batch in enumerate(parts(workload.envelopes, size)):
            one = (number + len(found)) % 2
            delivery = _delivery(batch, number * size)
            started, cpu = time.perf_counter(), time.process_time()
            await handlers[one].handle_together([delivery])
            spent[one].seconds += time.perf_counter() - started
            spent[one].cpu += time.process_time() - cpu
            spent[one].messages += len(batch)
        found.append(spent)
        return len(workload.envelopes) / sum(each.seconds for each in spent)

    return run


def _show(what: str, found: Sequence[tuple[_Spent, _Spent]]) -> None:
    """Print rates and CPU times of both, and the ratios of two rounds that follow each other."""
    sums = [
        tuple(_sum(one[side], other[side]) for side in (0, 1))
        for one, other in zip(found[::2], found[1::2], strict=True)
    ]
    ratios = [_rate(metered) / _rate(unmetered) for metered, unmetered in sums]
    metered, unmetered = (
        (median(_rate(pair[side]) for pair in sums), median(_cpu(pair[side]) for pair in sums))
        for side in (0, 1)
    )
    click.echo(
        f"what metrics cost: {what}: {metered[0]:,.0f} messages/s with, {unmetered[0]:,.0f} without: "
        f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}); CPU of the handler's process "
        f"{metered[1]:.2f} and {unmetered[1]:.2f} µs a message"
    )


def _sum(one: _Spent, other: _Spent) -> _Spent:
    return _Spent(one.messages + other.messages, one.seconds + other.seconds, one.cpu + other.cpu)


def _rate(spent: _Spent) -> float:
    return spent.messages / spent.seconds


def _cpu(spent: _Spent) -> float:
    return spent.cpu / spent.messages * _MICRO


def _delivery(batch: Sequence[Envelope], offset: int) -> Delivery:
    now = time.time_ns() // 1_000
    return Delivery(
        batch,
        Door.KAFKA,
        Principal(),
        route="kafka/bench/0",
        offsets=range(offset, offset + len(batch)),
        passage=Passage(now, range(now - len(batch), now)),
    )


@asynccontextmanager
async def _pool(url: str, *, metered: bool) -> AsyncIterator[asyncpg.Pool]:
    """Give a pool as it is shipped, or the driver's own with the same settings."""
    kind = Pool if metered else asyncpg.create_pool
    with patch.object(database, "Pool", kind):
        pool = await database.connect(url)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
