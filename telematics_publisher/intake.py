"""Between the sockets and the journal: a bounded buffer that makes groups of what arrives."""

import asyncio
import time

from prometheus_client import Histogram

from telematics_publisher.clock import Seconds
from telematics_publisher.pressure import BACKPRESSURE
from telematics_publisher.records import Record

GROUP_RECORDS = Histogram(
    "publisher_intake_group_records",
    "Records that had gathered when a journal was ready for the next group.",
    buckets=(1, 10, 100, 1_000, 5_000, 10_000, 50_000),
)


class Intake:
    """Collects records while the journal commits the previous group.

    Full at `max_records` or `max_bytes` of data: whoever reads a socket then waits for room, so
    the socket is not read and the provider feels it. One consumer.
    """

    def __init__(
        self, *, max_records: int, max_bytes: int, clock: Seconds = time.monotonic
    ) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._records: list[Record] = []
        self._bytes = 0
        self._closed = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._hold = BACKPRESSURE.hold(clock)

    @property
    def full(self) -> bool:
        """Whether a reader must wait for `room` before it reads on."""
        return len(self._records) >= self._max_records or self._bytes >= self._max_bytes

    def put(self, record: Record) -> None:
        """Add `record`, never waiting."""
        self._records.append(record)
        self._bytes += len(record.data)
        self._filled.set()

    async def room(self) -> None:
        """Return once there is room."""
        while self.full:
            self._hold.begin("intake", "journal")
            self._emptied.clear()
            await self._emptied.wait()

    async def take(self) -> list[Record]:
        """Return all records that wait, at least one, or none once closed and empty."""
        while not self._records and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        taken, self._records, self._bytes = self._records, [], 0
        self._emptied.set()
        self._hold.end()
        GROUP_RECORDS.observe(len(taken))
        return taken

    def close(self) -> None:
        """Let `take` end once everything was taken."""
        self._closed = True
        self._filled.set()
