"""A journal at its limits: what is given up, what never is, and a disk without room."""

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ingress_contracts.control import CheckpointEpoch
from ingress_contracts.envelope import MAX_DATA_BYTES
from telematics_publisher.errors import JournalBroken
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.limits import (
    MOST_DROPPED_RANGES,
    REPORT_BYTES,
    Excess,
    Limits,
    Policy,
)
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.records import Lane, Record

NOW = 1_700_000_000_000_000
EVERYTHING = Excess(2**40, 2**62)
Frames = Callable[[int], list[Record]]

DROPPER = """
import asyncio, sys
from pathlib import Path
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.limits import Limits, Policy
from telematics_publisher.records import Record, provider_lane

lane = provider_lane("viriciti", "/viriciti/acme/buses", timestamped=True)

async def main():
    journal = await Journal.open(
        Path(sys.argv[1]), workspace="acme", publisher="edge-1",
        limits=Limits(400_000, policy=Policy.DROP_OLDEST),
    )
    await journal.append([Record(lane, 0, None, b"x" * 200)] * 10)
    await journal.take(0, 10, 2**20)
    while True:
        await journal.append([Record(lane, 0, None, b"x" * 200)] * 100)
        print("stands", journal.head, journal.pending, flush=True)

asyncio.run(main())
"""


@contextmanager
def opened(directory: Path) -> Iterator[JournalStore]:
    store = JournalStore.open(
        directory / "a.journal", workspace="acme", publisher="edge-1", now=NOW
    )
    try:
        yield store
    finally:
        store.close()


def told(store: JournalStore) -> tuple[CheckpointEpoch, ...]:
    with store.transaction():
        return store.checkpoint(NOW)[1]


def drop(store: JournalStore, excess: Excess = EVERYTHING) -> int:
    with store.transaction():
        return store.drop(excess)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_only_records_that_were_never_attempted_are_dropped(tmp_path: Path, frames: Frames) -> None:
    with opened(tmp_path) as store:
        with store.transaction():
            store.append(frames(10))
            store.take(0, 4, 2**20)
        assert drop(store) == 6
        assert (list(store.pending), list(store.dropped)) == ([(1, 4)], [(5, 10)])
        assert drop(store) == 0
        assert store.level().droppable is None


def test_attempts_of_an_earlier_process_count(tmp_path: Path, frames: Frames) -> None:
    with opened(tmp_path) as store, store.transaction():
        store.append(frames(10))
        store.take(0, 4, 2**20)
    with opened(tmp_path) as store:
        assert drop(store) == 6
        assert list(store.pending) == [(1, 4)]


def test_the_oldest_go_first_and_no_more_than_must(tmp_path: Path, lane: Lane) -> None:
    records = [Record(lane, NOW + at, None, b"x" * 100) for at in range(10)]
    with opened(tmp_path) as store:
        with store.transaction():
            store.append(records)
        assert drop(store, Excess(250, 0)) == 3
        assert drop(store, Excess(0, NOW + 5)) == 2
        assert drop(store, Excess(0, NOW + 5)) == 0
        assert list(store.dropped) == [(1, 5)]


def test_reports_and_what_they_settle_are_never_dropped(
    tmp_path: Path, lane: Lane, frames: Frames
) -> None:
    big = Record(lane, NOW, None, b"x" * (MAX_DATA_BYTES + 1))
    with opened(tmp_path) as store:
        with store.transaction():
            store.append([*frames(2), big, *frames(2)])
        assert drop(store) == 4
        assert list(store.dropped) == [(1, 2), (5, 6)]
        assert list(store.pending) == [(3, 4)]


def test_drops_are_told_until_core_has_heard_of_them(tmp_path: Path, frames: Frames) -> None:
    with opened(tmp_path) as store:
        with store.transaction():
            store.append(frames(10))
        drop(store, Excess(3, 0))
    with opened(tmp_path) as store:
        for _ in range(2):
            heard = told(store)
            assert heard[0].dropped == ((1, 3),)
            assert heard[0].pending == ((4, 10),)
        drop(store, Excess(2, 0))  # after that checkpoint was made
        with store.transaction():
            store.confirm(heard)
        assert told(store)[0].dropped == ((4, 5),)
    with opened(tmp_path) as store:
        assert told(store)[0].dropped == ((4, 5),)


def test_an_epoch_whose_records_were_all_dropped_is_told_once_more_and_forgotten(
    tmp_path: Path, frames: Frames
) -> None:
    with opened(tmp_path) as store, store.transaction():
        store.append(frames(3))
    with opened(tmp_path) as store:
        drop(store)
        heard = told(store)
        assert (heard[0].closed, heard[0].pending, heard[0].dropped) == (True, (), ((1, 3),))
        with store.transaction():
            store.confirm(heard)
        assert len(told(store)) == 1


def test_the_report_of_drops_is_bounded_and_dropping_waits_for_it(
    tmp_path: Path, frames: Frames
) -> None:
    with opened(tmp_path) as store:
        with store.transaction():
            for _ in range(MOST_DROPPED_RANGES + 5):
                store.append(frames(2))
                store.take(store.head - 2, 1, 2**20)
                store.drop(EVERYTHING)
        assert store.dropped.spans == MOST_DROPPED_RANGES
        assert store.level().droppable is None
        heard = told(store)
        assert len(heard[0].model_dump_json()) < MAX_DATA_BYTES
        with store.transaction():
            store.confirm(heard)
        with store.transaction():
            store.append(frames(1))
        assert store.level().droppable is not None


@pytest.mark.parametrize("seed", range(2))
def test_drops_survive_a_process_that_is_killed_before_it_told_of_them(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "a.journal"
    with subprocess.Popen(
        [sys.executable, "-c", DROPPER, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("stands"):
                head, pending = map(int, line.split()[1:])
                if head - pending > 1_000 * (seed + 1):
                    break
        child.send_signal(signal.SIGKILL)
    with opened(tmp_path) as store:
        heard = told(store)[0]
        numbers = [
            number
            for ranges in (heard.pending, heard.dropped)
            for low, high in ranges
            for number in range(low, high + 1)
        ]
        assert sorted(numbers) == list(range(1, heard.head + 1)), (
            "each is there, or told as dropped"
        )
        assert heard.pending[0] == (1, 10), "what was attempted is still there"
        assert len(heard.dropped) == 1
        assert heard.dropped[0][1] - heard.dropped[0][0] >= 1_000 * (seed + 1) - 1


@pytest.mark.anyio
async def test_a_journal_that_drops_takes_everything_and_stays_within_its_limit(
    tmp_path: Path, lane: Lane
) -> None:
    limit = 600_000
    journal = await Journal.open(
        tmp_path / "a.journal",
        workspace="acme",
        publisher="edge-1",
        limits=Limits(limit, policy=Policy.DROP_OLDEST),
    )
    before = metric("publisher_records_dropped_total")
    largest = 0
    for _ in range(100):
        await journal.append([Record(lane, NOW, None, b"x" * 200)] * 100)
        largest = max(largest, journal.bytes)
    assert journal.head == 10_000
    assert largest <= limit
    dropped = metric("publisher_records_dropped_total") - before
    assert dropped == journal.head - journal.pending > 5_000
    _, (epoch,) = await journal.checkpoint()
    assert epoch.dropped == ((1, dropped),)
    await journal.close()


@pytest.mark.anyio
async def test_a_journal_that_drops_blocks_where_everything_was_attempted(
    tmp_path: Path, frames: Frames
) -> None:
    journal = await Journal.open(
        tmp_path / "a.journal",
        workspace="acme",
        publisher="edge-1",
        limits=Limits(200_000, policy=Policy.DROP_OLDEST),
    )
    while journal.bytes < 200_000 - REPORT_BYTES:
        await journal.append(frames(500))
        await journal.take(journal.head - 500, 500, 2**20)
    waiting = asyncio.create_task(journal.append(frames(1)))
    head = journal.head
    await journal.checkpoint()
    assert not waiting.done()
    assert metric("publisher_journals_blocked", cause="limit") == 1
    await journal.acknowledge([(1, head)])
    await waiting
    assert metric("publisher_journals_blocked", cause="limit") == 0
    assert (journal.head, journal.pending) == (head + 1, 1)
    await journal.close()


@pytest.mark.anyio
async def test_age_fills_a_journal_too(tmp_path: Path, lane: Lane) -> None:
    now = [NOW]
    for policy in Policy:
        journal = await Journal.open(
            tmp_path / f"{policy}.journal",
            workspace="acme",
            publisher="edge-1",
            limits=Limits(2**30, max_age=1_000, policy=policy),
            now=lambda: now[0],
        )
        now[0] = NOW
        await journal.append([Record(lane, NOW, None, b"old")])
        now[0] = NOW + 1_001
        appending = asyncio.create_task(journal.append([Record(lane, now[0], None, b"new")]))
        if policy is Policy.BLOCK:
            await journal.checkpoint()
            assert not appending.done()
            await journal.acknowledge([(1, 1)])
        await appending
        _, (epoch,) = await journal.checkpoint()
        assert epoch.pending == ((2, 2),)
        assert epoch.dropped == (((1, 1),) if policy is Policy.DROP_OLDEST else ())
        await journal.close()


@pytest.mark.anyio
async def test_how_full_a_journal_is_can_be_scraped(tmp_path: Path, lane: Lane) -> None:
    journal = await Journal.open(
        tmp_path / "a.journal", workspace="acme", publisher="edge-1", now=lambda: NOW
    )
    assert metric("publisher_journal_oldest_seconds") == 0
    await journal.append([Record(lane, NOW - 5_000_000, None, b"x" * 100)] * 50)
    assert metric("publisher_journal_oldest_seconds") == 5
    assert metric("publisher_journal_pending_records") == 50
    assert metric("publisher_journal_bytes") > 5_000
    await journal.close()
    assert metric("publisher_journal_pending_records") == 0


def limit_pages(journal: Journal, pages: int) -> None:
    """Let the file have no more than so many pages, as if the disk were full."""
    journal._thread._store._connection.execute(f"PRAGMA max_page_count = {pages}")


@pytest.mark.anyio
async def test_on_a_full_disk_appends_wait_while_the_rest_goes_on(
    tmp_path: Path, lane: Lane, frames: Frames
) -> None:
    journal = await Journal.open(
        tmp_path / "a.journal",
        workspace="acme",
        publisher="edge-1",
        limits=Limits(2**30, retry_seconds=0.001),
    )
    await journal.append([Record(lane, NOW, None, b"x" * 1_000)] * 100)
    limit_pages(journal, 1)  # SQLite makes that the size that it has
    waiting = asyncio.create_task(journal.append(frames(2_000)))
    taken = await journal.take(0, 10, 2**20)
    assert [one.sequence for one in taken] == list(range(1, 11))
    _, (epoch,) = await journal.checkpoint()
    assert (epoch.head, epoch.pending) == (100, ((1, 100),))
    assert not waiting.done()
    assert metric("publisher_journals_blocked", cause="disk_full") == 1
    await journal.acknowledge([(1, 100)])  # which makes room
    await waiting
    assert metric("publisher_journals_blocked", cause="disk_full") == 0
    assert (journal.head, journal.pending) == (2_100, 2_000)
    assert [one.record for one in await journal.take(0, 3_000, 2**20)] == frames(2_000)
    await journal.close()


@pytest.mark.anyio
async def test_what_a_full_disk_refused_left_no_trace(
    tmp_path: Path, lane: Lane, frames: Frames
) -> None:
    path = tmp_path / "a.journal"
    journal = await Journal.open(
        path, workspace="acme", publisher="edge-1", limits=Limits(2**30, retry_seconds=0.001)
    )
    await journal.append(frames(10))
    limit_pages(journal, 1)
    other = lane._replace(source="/viriciti/acme/trams")  # a lane that is new
    refused = asyncio.create_task(journal.append([Record(other, NOW, None, b"x" * 1_000)] * 500))
    await journal.checkpoint()
    assert not refused.done()
    await journal.close()
    with pytest.raises(Exception, match="closed while the disk was full"):
        await refused
    with opened(tmp_path) as store:
        assert (list(store.pending), store.first) == ([(1, 10)], 11)
        with store.transaction():
            store.append([Record(other, NOW, None, b"y")])
            assert store.take(10, 10, 2**20)[0].record.lane == other


class FailingConnection:
    """A connection whose next commit meets an error of the disk."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self._connection = connection
        self._code = code

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_CORRUPT]
)
async def test_an_fsync_that_failed_ends_the_journal_for_good(
    journal: Journal, frames: Frames, code: int
) -> None:
    await journal.append(frames(1))
    store = journal._thread._store
    store._connection = FailingConnection(store._connection, code)  # type: ignore[assignment]
    with pytest.raises(JournalBroken, match=re.escape("the process must end: disk I/O error")):
        await journal.append(frames(1))
    with pytest.raises(JournalBroken):
        await journal.take(0, 1, 1)


def held(reason: str) -> float:
    return metric("publisher_backpressure_seconds_total", queue="journal", reason=reason)


@pytest.mark.anyio
async def test_a_journal_at_its_limit_shows_for_how_long_while_it_is(
    tmp_path: Path, frames: Frames
) -> None:
    now, before = [0.0], held("limit")
    store = JournalStore.open(tmp_path / "a.journal", workspace="acme", publisher="edge-1", now=NOW)
    journal = Journal(store, limits=Limits(200_000), clock=lambda: now[0])
    assert metric("publisher_journal_limit_bytes") == 200_000
    while journal.bytes < 200_000 - REPORT_BYTES:
        await journal.append(frames(500))
    waiting = asyncio.create_task(journal.append(frames(1)))
    await journal.checkpoint()
    now[0] = 90.0
    assert held("limit") - before == 90.0
    await journal.acknowledge([(1, journal.head)])
    await waiting
    now[0] = 1_000.0
    assert held("limit") - before == 90.0
    await journal.close()
    assert metric("publisher_journal_limit_bytes") == 0


@pytest.mark.anyio
async def test_a_disk_without_room_shows_for_how_long_while_it_has_none(
    tmp_path: Path, lane: Lane, frames: Frames
) -> None:
    now, before = [0.0], held("disk_full")
    store = JournalStore.open(tmp_path / "a.journal", workspace="acme", publisher="edge-1", now=NOW)
    limits = Limits(2**30, retry_seconds=0.001)
    journal = Journal(store, limits=limits, clock=lambda: now[0])
    await journal.append([Record(lane, NOW, None, b"x" * 1_000)] * 100)
    limit_pages(journal, 1)  # SQLite makes that the size that it has
    waiting = asyncio.create_task(journal.append(frames(2_000)))
    await journal.take(0, 10, 2**20)
    await journal.checkpoint()  # behind the append
    now[0] = 30.0
    assert held("disk_full") - before == 30.0
    await journal.acknowledge([(1, 100)])  # which makes room
    await waiting
    now[0] = 1_000.0
    assert held("disk_full") - before == 30.0
    await journal.close()
