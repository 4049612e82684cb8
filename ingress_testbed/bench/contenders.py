"""What the doors are measured against: a bare COPY, and the handler in this process."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from core_ingest.door import Door, Principal
from core_ingest.handler import IngestHandler
from core_ingest.store.database import Connection
from ingress_testbed.bench.measure import Contender, Stopwatch
from ingress_testbed.bench.workloads import HISTORY, Workload

T = TypeVar("T")

BARE_COPY = "bare COPY"
TRANSACTION = 5_000


def bare_copy(connection: Connection) -> Contender:
    """COPY the same readings into the history, in transactions of 5,000 rows."""

    async def run(workload: Workload) -> float:
        watch = Stopwatch()
        for rows in parts(workload.rows, TRANSACTION):
            await connection.copy_records_to_table("history", records=rows, columns=HISTORY)
        return len(workload.rows) / watch.seconds

    return run


def in_process(handler: IngestHandler) -> Contender:
    """Hand batches of 5,000 envelopes to the handler, one after the other."""

    async def run(workload: Workload) -> float:
        watch = Stopwatch()
        for batch in parts(workload.envelopes, TRANSACTION):
            await handler.handle(batch, door=Door.HTTP, principal=Principal())
        return len(workload.envelopes) / watch.seconds

    return run


def parts(whole: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut `whole` into parts of `size`; the last one may be shorter."""
    return (whole[start : start + size] for start in range(0, len(whole), size))
