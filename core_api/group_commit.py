"""Concurrent requests share transactions: what waits while one commits goes into the next.

A bounded queue in front of a few workers, each of which takes what is waiting and hands it to
`IngestHandler.handle_together`. A delivery that was taken is committed whatever becomes of the
client that sent it: hanging up gives up the answer, never the commit. And whatever a neighbour
brought never fails a delivery: bad data are the handler's to part, and should the handler itself
break over a group, each delivery is tried alone.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import structlog
from prometheus_client import Gauge, Histogram

from core_ingest.errors import IngestError
from core_ingest.handler import Delivery
from core_ingest.outcome import Outcome

COMMIT_ENVELOPES = Histogram(
    "core_api_commit_envelopes",
    "Envelopes that shared a transaction.",
    buckets=(1, 10, 50, 100, 250, 500, 1_000, 2_000, 3_000, 4_000, 5_000),
)
COMMIT_REQUESTS = Histogram(
    "core_api_commit_requests",
    "Requests that shared a transaction.",
    buckets=(1, 2, 3, 5, 8, 13, 21, 34),
)
COMMIT_SECONDS = Histogram(
    "core_api_commit_seconds", "Time that the handler took for one shared transaction."
)
QUEUE_ENVELOPES = Gauge(
    "core_api_queue_envelopes", "Envelopes waiting for a transaction or in one."
)
QUEUE_LIMIT = Gauge(
    "core_api_queue_limit_envelopes", "Most envelopes taken into the queue; beyond it, 503."
)

log = structlog.get_logger()

Result = list[Outcome] | Exception


class Handler(Protocol):
    """What the group commit needs of `IngestHandler`."""

    async def handle_together(
        self, deliveries: Sequence[Delivery]
    ) -> Sequence[list[Outcome] | IngestError]:
        """Commit deliveries in one transaction and return one result for each, in order."""


class QueueFull(Exception):
    """The queue holds as many envelopes as it takes."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(f"{waiting} envelopes are in work; the limit is {limit}.")


class QueueClosed(Exception):
    """The process is shutting down: nothing more is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    delivery: Delivery
    result: asyncio.Future[Result]

    @property
    def size(self) -> int:
        return len(self.delivery.envelopes)


class GroupCommit:
    """Commits deliveries in groups of at most `max_group` envelopes, `workers` groups at once.

    At most `capacity` envelopes are taken in; a delivery larger than `max_group` goes alone.
    """

    def __init__(self, handler: Handler, *, workers: int, max_group: int, capacity: int) -> None:
        self._handler = handler
        self._max_group = max_group
        self._capacity = capacity
        self._waiting: deque[_Waiting] = deque()
        self._envelopes = 0
        self._arrived = asyncio.Event()
        self._closed = False
        self._workers = [asyncio.create_task(self._work()) for _ in range(workers)]
        QUEUE_LIMIT.set(capacity)

    async def submit(self, delivery: Delivery) -> list[Outcome]:
        """Return the outcomes of `delivery`, in order, once they are committed.

        Raises QueueFull or QueueClosed before anything is taken, and what the handler raised for
        this delivery. Cancelling the caller does not cancel the commit.
        """
        if self._closed:
            raise QueueClosed
        size = len(delivery.envelopes)
        if self._envelopes + size > self._capacity:
            raise QueueFull(self._envelopes, self._capacity)
        waiting = _Waiting(delivery, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._count(size)
        self._arrived.set()
        result = await asyncio.shield(waiting.result)
        if isinstance(result, Exception):
            raise result
        return result

    async def close(self) -> None:
        """Take nothing more, commit what was taken, and return."""
        self._closed = True
        self._arrived.set()
        await asyncio.gather(*self._workers)

    async def _work(self) -> None:
        while group := await self._next_group():
            started = perf_counter()
            results = await self._commit(group)
            size = sum(waiting.size for waiting in group)
            self._measure(group, size, perf_counter() - started)
            self._count(-size)
            for waiting, result in zip(group, results, strict=True):
                waiting.result.set_result(result)
            del group, results  # an idle worker keeps no batch alive

    async def _next_group(self) -> list[_Waiting]:
        """Return what waits, at least one delivery; nothing once closed and empty."""
        while not self._waiting:
            if self._closed:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        group = [self._waiting.popleft()]
        size = group[0].size
        while self._waiting and size + self._waiting[0].size <= self._max_group:
            group.append(self._waiting.popleft())
            size += group[-1].size
        return group

    async def _commit(self, group: Sequence[_Waiting]) -> Sequence[Result]:
        deliveries = [waiting.delivery for waiting in group]
        try:
            return await self._handler.handle_together(deliveries)
        except IngestError as error:
            return [error] * len(group)
        except Exception as error:  # a worker outlives whatever one group provokes
            if len(group) == 1:
                return [error]
            log.exception("group_failed_now_one_by_one", requests=len(group))
            alone = [await self._commit([waiting]) for waiting in group]
            return [result for results in alone for result in results]

    def _count(self, envelopes: int) -> None:
        self._envelopes += envelopes
        QUEUE_ENVELOPES.set(self._envelopes)

    def _measure(self, group: Sequence[_Waiting], size: int, seconds: float) -> None:
        COMMIT_ENVELOPES.observe(size)
        COMMIT_REQUESTS.observe(len(group))
        COMMIT_SECONDS.observe(seconds)
        log.debug("group_committed", requests=len(group), envelopes=size, seconds=seconds)
