"""The journal: a frame is on disk before it is sent, and stays there until core has it.

One thread owns the tables. It gathers whatever operations have come while it was committing and
commits them together (group commit): one fsync for many callers.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Self, TypeVar
from uuid import UUID

from prometheus_client import Counter, Gauge, Histogram

from ingress_contracts.control import CheckpointEpoch
from telematics_publisher.clock import Microseconds, wall_clock
from telematics_publisher.errors import JournalBroken
from telematics_publisher.journal_store import JournalStore
from telematics_publisher.records import Record, Stored

RECORDS_JOURNALLED = Counter(
    "publisher_records_journalled_total", "Records committed to a journal, all workspaces."
)
PENDING = Gauge(
    "publisher_journal_pending_records", "Journalled numbers that core has not settled yet."
)
BYTES = Gauge("publisher_journal_bytes", "Bytes of the journals' pages in use.")
COMMIT_SECONDS = Histogram(
    "publisher_journal_commit_seconds",
    "From a group's first operation to its commit on disk.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

_MOST_OPERATIONS = 256
"""Operations of one commit. Appends are groups themselves, so this bounds memory, not rate."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Operation:
    work: Callable[[JournalStore], Any]
    done: "asyncio.Future[Any]"


class Journal:
    """The asynchronous face of a JournalStore. Everything that returns is on disk.

    Every method raises JournalBroken once a write has failed: the process must end then, and what
    was confirmed before is found by the next opening.
    """

    def __init__(self, store: JournalStore, *, max_bytes: int, now: Microseconds) -> None:
        self.head = store.head
        self.pending = len(store.pending)
        self.bytes = store.used_bytes()
        self._max_bytes: float = max_bytes
        self._now = now
        self._store = store
        self._broken: JournalBroken | None = None
        self._moved = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()
        PENDING.inc(self.pending)
        BYTES.inc(self.bytes)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        workspace: str,
        publisher: str,
        max_bytes: int = 4 * 2**30,
        now: Microseconds = wall_clock,
    ) -> Self:
        """Open or create the journal at `path`, which begins a new epoch.

        Raises JournalInUse, JournalMismatch, or JournalBroken where the file cannot be used.
        """
        store = await asyncio.to_thread(
            JournalStore.open, path, workspace=workspace, publisher=publisher, now=now()
        )
        return cls(store, max_bytes=max_bytes, now=now)

    async def append(self, records: Sequence[Record]) -> None:
        """Give `records` their numbers and store them. Waits while the journal is at its limit of bytes."""
        while self.bytes >= self._max_bytes:
            await self._wait_for_move()
        await self._do(lambda store: store.append(records))
        RECORDS_JOURNALLED.inc(len(records))

    def lift_limit(self) -> None:
        """Take what is appended from now on, and what waits, whatever the size: at the end."""
        self._max_bytes = float("inf")
        self._moved.set()

    async def take(self, after: int, max_records: int, max_bytes: int) -> list[Stored]:
        """Return the next records above `after`, marked as attempted. See JournalStore.take."""
        return await self._do(lambda store: store.take(after, max_records, max_bytes))

    async def wait_beyond(self, sequence: int) -> None:
        """Return once a number above `sequence` is on disk."""
        while self.head <= sequence:
            await self._wait_for_move()

    async def acknowledge(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Forget the records with these numbers: core has them for good."""
        await self._do(lambda store: store.acknowledge(ranges))

    async def set_aside(self, sequence: int, *, reason: str, detail: str) -> bool:
        """Settle a record that no route will take. See JournalStore.set_aside."""
        now = self._now()
        return await self._do(
            lambda store: store.set_aside(sequence, reason=reason, detail=detail, now=now)
        )

    async def checkpoint(self) -> tuple[int, tuple[CheckpointEpoch, ...]]:
        """Return the number and the epochs of a new checkpoint. See JournalStore.checkpoint."""
        now = self._now()
        return await self._do(lambda store: store.checkpoint(now))

    async def forget(self, epochs: Sequence[UUID]) -> None:
        """Forget closed epochs of which core has confirmed that nothing is pending."""
        await self._do(lambda store: store.forget(epochs))

    async def close(self) -> None:
        """Commit what was asked for and release the file. Safe to call again."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        PENDING.dec(self.pending)
        BYTES.dec(self.bytes)
        self.pending = self.bytes = 0

    async def _do(self, work: Callable[[JournalStore], T]) -> T:
        if self._broken is not None:
            raise self._broken
        done: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Operation(work, done))
        return await done

    async def _wait_for_move(self) -> None:
        if self._broken is not None:
            raise self._broken
        self._moved.clear()
        await self._moved.wait()

    def _work(self) -> None:
        """Run the thread: gather, commit, answer; until closed or broken."""
        group: list[_Operation] = []
        try:
            while group := self._gather():
                with COMMIT_SECONDS.time(), self._store.transaction():
                    results = [one.work(self._store) for one in group]
                state = (self._store.head, len(self._store.pending), self._store.used_bytes())
                self._loop.call_soon_threadsafe(self._answer, group, results, state)
        except Exception as error:  # noqa: BLE001 — whatever it is, nothing may be committed after it
            broken = JournalBroken(f"writing the journal failed, the process must end: {error}")
            broken.__cause__ = error
            self._loop.call_soon_threadsafe(self._break, group, broken)
        finally:
            self._store.close()

    def _gather(self) -> list[_Operation]:
        """Return the operations that wait, at least one, or none once the journal is closed."""
        first = self._queue.get()
        group = [] if first is None else [first]
        try:
            while first is not None and len(group) < _MOST_OPERATIONS:
                following = self._queue.get_nowait()
                if following is None:
                    self._queue.put(None)  # for the next round
                    break
                group.append(following)
        except Empty:
            pass
        return group

    def _answer(
        self, group: list[_Operation], results: list[Any], state: tuple[int, int, int]
    ) -> None:
        _, pending, used = state
        PENDING.inc(pending - self.pending)
        BYTES.inc(used - self.bytes)
        self.head, self.pending, self.bytes = state
        for operation, result in zip(group, results, strict=True):
            if not operation.done.done():
                operation.done.set_result(result)
        self._moved.set()

    def _break(self, group: list[_Operation], broken: JournalBroken) -> None:
        self._broken = broken
        try:
            while (operation := self._queue.get_nowait()) is not None:
                group.append(operation)
        except Empty:
            pass
        for operation in group:
            if not operation.done.done():
                operation.done.set_exception(broken)
        self._moved.set()
