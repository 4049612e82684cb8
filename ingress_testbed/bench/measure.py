"""One measurement: empty tables, a checkpoint, then seconds, WAL and growth of the work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

import asyncpg

from ingress_testbed.bench.workloads import Workload

_EMPTY = """
TRUNCATE history, latest, settlements, ledger_epochs, ledger_blocks, ledger_counts,
    checkpoints, checkpoint_arrivals, dead_letters, connection_events
"""

_SIZE = """
SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('history') WHERE isleaf
"""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Rows a second, WAL bytes a row, and bytes that a row takes on disk with its index."""

    rows_per_second: float
    wal_bytes_per_row: float
    disk_bytes_per_row: float


async def measure(
    connection: asyncpg.Connection,
    work: Callable[[Workload], Awaitable[None]],
    workload: Workload,
) -> Measurement:
    """Measure `work`, which must store the workload's facts. Raises RuntimeError if it does not.

    The checkpoint beforehand gives every contender the same start: no full-page images of an
    earlier one's pages, no writing back of them in its time.
    """
    await connection.execute(_EMPTY)
    await connection.execute("CHECKPOINT")
    before = await _wal(connection)
    started = perf_counter()
    await work(workload)
    seconds = perf_counter() - started
    written = await _wal(connection) - before
    rows = len(workload.rows)
    stored = await connection.fetchval("SELECT count(*) FROM history")
    if stored != rows:
        raise RuntimeError(f"{stored:,} facts are stored, {rows:,} were sent")
    grown = await connection.fetchval(_SIZE)
    return Measurement(rows / seconds, written / rows, float(grown) / rows)


async def _wal(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))
