"""One measurement: empty tables, a checkpoint, then the rate, WAL and growth of the work."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

import click

from core_ingest.store.database import Connection
from ingress_testbed.bench.workloads import Workload

_EMPTY = """
TRUNCATE history, latest, settlements, ledger_epochs, ledger_blocks, ledger_counts,
    checkpoints, checkpoint_arrivals, dead_letters, connection_events
"""

_SIZE = """
SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('history') WHERE isleaf
"""

Contender: TypeAlias = Callable[[Workload], Awaitable[float]]
"""Does its work on a workload and returns how many rows or records a second that was."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Rows or records a second; WAL bytes a row, and bytes a row takes on disk with its index."""

    rate: float
    wal_bytes_per_row: float | None = None
    disk_bytes_per_row: float | None = None


Trial: TypeAlias = Callable[[], Awaitable[Measurement]]


class Stopwatch:
    """Runs from its making on."""

    def __init__(self) -> None:
        self._started = perf_counter()

    @property
    def seconds(self) -> float:
        """Return the time since then."""
        return perf_counter() - self._started


def timed(contender: Contender, workload: Workload) -> Trial:
    """Return a trial of what stores nothing in the database."""

    async def trial() -> Measurement:
        return Measurement(await contender(workload))

    return trial


def storing(connection: Connection, contender: Contender, workload: Workload) -> Trial:
    """Return a trial of what must store the workload's facts. Raises RuntimeError if it does not.

    The checkpoint beforehand gives every contender the same start: no full-page images of an
    earlier one's pages, no writing back of them in its time.
    """

    async def trial() -> Measurement:
        await connection.execute(_EMPTY)
        await connection.execute("CHECKPOINT")
        before = await _wal(connection)
        rate = await contender(workload)
        written = await _wal(connection) - before
        rows = len(workload.rows)
        stored = await connection.fetchval("SELECT count(*) FROM history")
        if stored != rows:
            raise RuntimeError(f"{stored:,} facts are stored, {rows:,} were sent")
        grown = await connection.fetchval(_SIZE)
        return Measurement(rate, written / rows, float(grown) / rows)

    return trial


async def interleaved(
    what: str, trials: Mapping[str, Trial], rounds: int
) -> dict[str, list[Measurement]]:
    """Try each in turn, round after round; what else the machine does then hits all of them."""
    found: dict[str, list[Measurement]] = {name: [] for name in trials}
    for number in range(rounds):
        for name, trial in trials.items():
            click.echo(f"{what}: round {number + 1} of {rounds}, {name}", err=True)
            found[name].append(await trial())
    return found


async def _wal(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))
