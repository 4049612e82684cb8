"""Concurrent requests share transactions: what waits while one commits goes into the next.

A bounded queue in front of a few workers, each of which takes what is waiting and hands it to
`IngestHandler.handle_together`. A sender's deliveries are committed in the order in which they
came: until a group holds the locks of its assets, the others of its senders wait; otherwise newer
facts would make older ones stale that were sent first. A delivery that was taken is committed
whatever becomes of the client that sent it: hanging up gives up the answer, never the commit. And
whatever a neighbour brought never fails a delivery: bad data are the handler's to part, and should
the handler itself break over a group, each delivery is tried alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from time import perf_counter
from typing import Protocol

import structlog
from prometheus_client import Gauge, Histogram

from core_ingest.door import Principal
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

_LAST = 2**63

log = structlog.get_logger()

Result = list[Outcome] | Exception


class Handler(Protocol):
    """What the group commit needs of `IngestHandler`."""

    async def handle_together(
        self, deliveries: Sequence[Delivery], *, locked: Callable[[], None] = ...
    ) -> Sequence[list[Outcome] | IngestError]:
        """Commit deliveries in one transaction and return one result for each, in order.

        Call `locked` when whatever begins from now on comes after these.
        """


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

    @property
    def place(self) -> tuple[str, int]:
        """Where its sender's journal has it: requests on several connections pass each other."""
        first = self.delivery.envelopes[0]
        return str(first.publisherepoch), _LAST if first.sequence is None else first.sequence


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
        self._unordered = set[Principal]()
        self._changed = asyncio.Event()
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
        self._changed.set()
        result = await asyncio.shield(waiting.result)
        if isinstance(result, Exception):
            raise result
        return result

    async def close(self) -> None:
        """Take nothing more, commit what was taken, and return."""
        self._closed = True
        self._changed.set()
        await asyncio.gather(*self._workers)

    async def _work(self) -> None:
        while group := await self._next_group():
            started = perf_counter()
            results = await self._ordered(group)
            size = sum(waiting.size for waiting in group)
            self._measure(group, size, perf_counter() - started)
            self._count(-size)
            for waiting, result in zip(group, results, strict=True):
                waiting.result.set_result(result)
            del group, results  # an idle worker keeps no batch alive

    async def _next_group(self) -> list[_Waiting]:
        """Return what may go now, at least one delivery; nothing once closed and empty."""
        while not (group := self._take()):
            if self._closed and not self._waiting:
                return []
            self._changed.clear()
            await self._changed.wait()
        return group

    def _take(self) -> list[_Waiting]:
        """Take what waits and whose sender has its place, in order, up to a whole group."""
        group: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        size = 0
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.delivery.principal in self._unordered:
                left.append(waiting)
            elif group and size + waiting.size > self._max_group:
                left.append(waiting)  # nor what came after it: that would overtake
                break
            else:
                group.append(waiting)
                size += waiting.size
        self._waiting.extendleft(reversed(left))
        group.sort(key=attrgetter("place"))
        return group

    async def _ordered(self, group: Sequence[_Waiting]) -> Sequence[Result]:
        """Commit a group; let others of its senders begin once it has its place before them."""
        senders = {waiting.delivery.principal for waiting in group}
        self._unordered |= senders

        def placed() -> None:
            self._unordered.difference_update(senders)
            senders.clear()  # a later group of theirs may be on its way by now
            self._changed.set()

        try:
            return await self._commit(group, placed)
        finally:
            placed()

    async def _commit(
        self, group: Sequence[_Waiting], placed: Callable[[], None]
    ) -> Sequence[Result]:
        deliveries = [waiting.delivery for waiting in group]
        try:
            return await self._handler.handle_together(deliveries, locked=placed)
        except IngestError as error:
            return [error] * len(group)
        except Exception as error:  # a worker outlives whatever one group provokes
            if len(group) == 1:
                return [error]
            log.exception("group_failed_now_one_by_one", requests=len(group))
            alone = [await self._commit([waiting], placed) for waiting in group]
            return [result for results in alone for result in results]

    def _count(self, envelopes: int) -> None:
        self._envelopes += envelopes
        QUEUE_ENVELOPES.set(self._envelopes)

    def _measure(self, group: Sequence[_Waiting], size: int, seconds: float) -> None:
        COMMIT_ENVELOPES.observe(size)
        COMMIT_REQUESTS.observe(len(group))
        COMMIT_SECONDS.observe(seconds)
        log.debug("group_committed", requests=len(group), envelopes=size, seconds=seconds)
