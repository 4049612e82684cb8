"""The one thread that owns a journal's tables.

It gathers whatever operations have come while it was committing and commits them together (group
commit): one fsync for many callers. Where the disk has no room for a group, it commits what needs
none, keeps the rest, and tries again; it goes on where it stopped.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from prometheus_client import Histogram

from ingress_runtime import faults
from telematics_publisher.errors import JournalBroken, JournalError, JournalFull
from telematics_publisher.journal.limits import Level
from telematics_publisher.journal.store import JournalStore

COMMIT_SECONDS = Histogram(
    "publisher_journal_commit_seconds",
    "From a group's first operation to its commit on disk.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

_MOST_OPERATIONS = 256
"""Operations of one commit. Appends are groups themselves, so this bounds memory, not rate."""

Done = asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Operation:
    work: Callable[[JournalStore], Any]
    done: Done
    grows: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """Operations that are over, each with its result: on disk, or all of them with one error.

    The rest is how the journal stands now.
    """

    answers: Sequence[tuple[Done, Any]]
    error: JournalError | None
    head: int
    pending: int
    level: Level


class JournalThread:
    """Runs operations on a store, in the order in which they were asked for, until closed.

    `settled` and `stalled` are called by the thread: when operations are over, and with the error
    when the disk has become full, with None when it has room again.
    """

    def __init__(
        self,
        store: JournalStore,
        *,
        settled: Callable[[Settled], object],
        stalled: Callable[[JournalFull | None], object],
        retry_seconds: float,
    ) -> None:
        self._store = store
        self._settled = settled
        self._stalled = stalled
        self._retry_seconds = retry_seconds
        self._held: list[_Operation] = []
        self._full = False
        self._closing = False
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def ask(self, work: Callable[[JournalStore], Any], done: Done, *, grows: bool) -> None:
        """Have `work` done and `done` settled. What `grows` the journal waits where others need not."""
        self._queue.put(_Operation(work, done, grows))

    def close(self) -> None:
        """Do what was asked for, release the file, end the thread. Safe to call again."""
        self._queue.put(None)
        self._thread.join()

    def abandoned(self) -> list[Done]:
        """Return those who asked and will get no answer, once the thread is over for an error."""
        left = []
        try:
            while (operation := self._queue.get_nowait()) is not None:
                left.append(operation.done)
        except Empty:
            pass
        return left

    def _run(self) -> None:
        group: list[_Operation] = []
        try:
            while group := self._gather():
                self._held = []
                self._commit(group)
        except Exception as error:  # noqa: BLE001 — whatever it is, nothing may be committed after it
            broken = JournalBroken(f"writing the journal failed, the process must end: {error}")
            broken.__cause__ = error
            self._give_up(group, broken)
        finally:
            self._store.close()

    def _gather(self) -> list[_Operation]:
        """Return what waits, what was held back first; at least one, or none once it is over."""
        group = self._held
        if self._closing:
            if group:
                self._give_up(group, JournalFull("the journal was closed while the disk was full"))
            return []
        try:
            following = self._queue.get(timeout=self._retry_seconds if group else None)
            while following is not None:
                group.append(following)
                if len(group) >= _MOST_OPERATIONS:
                    return group
                following = self._queue.get_nowait()
            self._closing = True
        except Empty:
            pass
        return group

    def _commit(self, group: list[_Operation]) -> None:
        """Commit the group; on a full disk, what of it needs no room; hold back the rest."""
        try:
            news = self._attempt(group)
        except JournalFull as full:
            self._say_full(full)
            self._held = group
            if modest := [one for one in group if not one.grows]:
                self._commit_modest(modest)
        else:
            self._say_full(None)
            self._settled(news)

    def _commit_modest(self, modest: list[_Operation]) -> None:
        try:
            news = self._attempt(modest)
        except JournalFull:
            return
        self._held = [one for one in self._held if one.grows]
        self._settled(news)

    def _attempt(self, group: list[_Operation]) -> Settled:
        with COMMIT_SECONDS.time(), self._store.transaction():
            results = [one.work(self._store) for one in group]
        faults.passed(faults.Point.JOURNAL_COMMITTED)
        store = self._store
        answers = [(one.done, result) for one, result in zip(group, results, strict=True)]
        return Settled(answers, None, store.head, len(store.pending), store.level())

    def _say_full(self, full: JournalFull | None) -> None:
        if self._full != (full is not None):
            self._full = full is not None
            self._stalled(full)

    def _give_up(self, group: Sequence[_Operation], error: JournalError) -> None:
        answers = [(one.done, None) for one in group]
        self._settled(Settled(answers, error, 0, 0, Level()))
