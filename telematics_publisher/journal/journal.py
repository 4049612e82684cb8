"""The journal: a frame is on disk before it is sent, and stays there until core has it.

Every method returns once what it asked for is on disk. A full journal makes `append` wait, or drop
what is oldest: see telematics_publisher.journal.limits. A full disk makes everything wait that
needs room there, and nothing is lost.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

import structlog
from prometheus_client import Counter, Gauge

from ingress_contracts.control import CheckpointEpoch
from telematics_publisher.clock import Microseconds, Seconds, wall_clock
from telematics_publisher.errors import JournalBroken, JournalFull
from telematics_publisher.journal import gauges, recovery
from telematics_publisher.journal.limits import Limits, Verdict
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.journal.thread import JournalThread, Settled
from telematics_publisher.pressure import BACKPRESSURE
from telematics_publisher.records import Record, Stored

RECORDS_JOURNALLED = Counter(
    "publisher_records_journalled_total", "Records committed to a journal, all workspaces."
)
RECORDS_DROPPED = Counter(
    "publisher_records_dropped_total",
    "Records given up unsent, because a journal was full and its policy is drop-oldest.",
)
BLOCKED = Gauge(
    "publisher_journals_blocked",
    "Journals that take no records, so that their streams are not read: at a limit, or disk full.",
    ["cause"],
)
for _cause in ("limit", "disk_full"):
    BLOCKED.labels(_cause)

_LIMITS = Limits(max_bytes=4 * 2**30)

T = TypeVar("T")

log = structlog.get_logger()


class Journal:
    """The asynchronous face of a JournalStore. Everything that returns is on disk.

    Every method raises JournalBroken once an fsync or a read has failed: the process must end then,
    and what was confirmed before is found by the next opening. `workspace` is whose it is, for the
    log.
    """

    def __init__(
        self,
        store: JournalStore,
        *,
        limits: Limits,
        workspace: str | None = None,
        now: Microseconds = wall_clock,
        clock: Seconds = time.monotonic,
    ) -> None:
        self.head = store.head
        self.pending = len(store.pending)
        self.level = store.level()
        self._limits = limits
        self._now = now
        self._broken: JournalBroken | None = None
        self._moved = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._log = log if workspace is None else log.bind(workspace=workspace)
        self._log = self._log.bind(epoch=str(store.epoch))
        self._dropping = bool(len(store.dropped))
        self._at_limit, self._without_disk = BACKPRESSURE.hold(clock), BACKPRESSURE.hold(clock)
        self._thread = JournalThread(
            store,
            settled=lambda news: self._loop.call_soon_threadsafe(self._settle, news),
            stalled=lambda full: self._loop.call_soon_threadsafe(self._stall, full),
            retry_seconds=limits.retry_seconds,
        )
        gauges.watch(self, now)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        workspace: str,
        publisher: str,
        limits: Limits = _LIMITS,
        now: Microseconds = wall_clock,
    ) -> Self:
        """Open or create the journal at `path`, which begins a new epoch.

        A damaged file is set aside, and what could be saved of it goes on.

        Raises JournalInUse, JournalMismatch, JournalFull, or JournalBroken where it cannot be used.
        """
        store = await asyncio.to_thread(
            recovery.open_store, path, workspace=workspace, publisher=publisher, now=now()
        )
        return cls(store, limits=limits, workspace=workspace, now=now)

    @property
    def bytes(self) -> int:
        """The size of the pages in use."""
        return self.level.bytes

    @property
    def limit(self) -> float:
        """Bytes at which it is full; infinite where it never is."""
        return self._limits.max_bytes

    async def append(self, records: Sequence[Record]) -> None:
        """Give `records` their numbers and store them.

        Waits while the journal is at a limit and nothing may be dropped, or while the disk is full.
        """
        if self._limits.judge(self.level, self._now()) is Verdict.WAIT:
            with (
                BLOCKED.labels("limit").track_inprogress(),
                self._at_limit.lasting("journal", "limit"),
            ):
                self._log.warning("journal_at_limit", consequence="its streams are not read")
                while self._limits.judge(self.level, self._now()) is Verdict.WAIT:
                    await self._wait_for_move()
                self._log.info("journal_below_limit")
        dropped = await self._do(lambda store: self._append(store, records), grows=True)
        RECORDS_JOURNALLED.inc(len(records))
        if dropped:
            self._note_drop(dropped)

    def lift_limit(self) -> None:
        """Take what is appended from now on, and what waits, whatever the size: at the end."""
        self._limits = replace(self._limits, max_bytes=float("inf"), max_age=None)
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

    async def confirm(self, told: Sequence[CheckpointEpoch]) -> None:
        """Forget what core has confirmed to know by a checkpoint. See JournalStore.confirm."""
        if any(each.dropped or (each.closed and not each.pending) for each in told):
            await self._do(lambda store: store.confirm(told))
            self._dropping = False

    async def seal(self) -> None:
        """End this opening's epoch: the journal hands out no more numbers."""
        await self._do(lambda store: store.seal())

    async def close(self) -> None:
        """Commit what was asked for and release the file. Safe to call again."""
        await asyncio.to_thread(self._thread.close)
        self._without_disk.end()
        gauges.forget(self)

    def _append(self, store: JournalStore, records: Sequence[Record]) -> int:
        """Make room, if that is the policy, and append; return how many records were dropped."""
        now, level = self._now(), store.level()
        dropped = 0
        if self._limits.judge(level, now) is Verdict.DROP_FIRST:
            dropped = store.drop(self._limits.excess(level, now))
        store.append(records)
        return dropped

    def _note_drop(self, count: int) -> None:
        RECORDS_DROPPED.inc(count)
        if not self._dropping:  # told once until core knows; the metric has every one
            self._dropping = True
            self._log.error(
                "journal_drops_records",
                dropped=count,
                reason="the journal is full and its policy is drop-oldest",
                remedy="see why core does not take them: publisher_send_attempts_total",
            )

    async def _do(self, work: Callable[[JournalStore], T], *, grows: bool = False) -> T:
        if self._broken is not None:
            raise self._broken
        done: asyncio.Future[T] = self._loop.create_future()
        self._thread.ask(work, done, grows=grows)
        return await done

    async def _wait_for_move(self) -> None:
        if self._broken is not None:
            raise self._broken
        self._moved.clear()
        await self._moved.wait()

    def _settle(self, news: Settled) -> None:
        """Take note of what the thread has done, and answer whoever asked for it."""
        answers = [*news.answers]
        if isinstance(news.error, JournalBroken):
            self._broken = news.error
            answers += [(done, None) for done in self._thread.abandoned()]
        elif news.error is None:
            self.head, self.pending, self.level = news.head, news.pending, news.level
        for done, result in answers:
            if done.done():
                continue
            if news.error is None:
                done.set_result(result)
            else:
                done.set_exception(news.error)
        self._moved.set()

    def _stall(self, full: JournalFull | None) -> None:
        """Tell that the disk is full, or no longer."""
        if full is None:
            BLOCKED.labels("disk_full").dec()
            self._without_disk.end()
            self._log.info("journal_disk_has_room")
            return
        BLOCKED.labels("disk_full").inc()
        self._without_disk.begin("journal", "disk_full")
        self._log.error(
            "journal_disk_full",
            error=str(full),
            consequence="streams are not read; nothing is lost",
            remedy="free space on the journal's disk; no restart is needed",
        )
