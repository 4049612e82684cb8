import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from telematics_publisher.errors import JournalBroken
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.limits import REPORT_BYTES, Limits
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.records import Record

pytestmark = pytest.mark.anyio
Frames = Callable[[int], list[Record]]

APPENDER = """
import asyncio, sys
from pathlib import Path
from telematics_publisher.journal.journal import Journal
from telematics_publisher.records import Record, provider_lane

lane = provider_lane("viriciti", "/viriciti/acme/buses", timestamped=True)

async def append(journal, task):
    while True:
        await journal.append([Record(lane, 0, None, b"x" * 200)] * (task + 1))
        print(journal.head, flush=True)

async def main():
    journal = await Journal.open(Path(sys.argv[1]), workspace="acme", publisher="edge-1")
    async with asyncio.TaskGroup() as tasks:
        for task in range(4):
            tasks.create_task(append(journal, task))

asyncio.run(main())
"""


def reopened(path: Path) -> tuple[list[int], int]:
    """The numbers that a new opening finds, and the first number that it hands out itself."""
    store = JournalStore.open(path, workspace="acme", publisher="edge-1", now=1)
    try:
        found = [number for low, high in store.pending for number in range(low, high + 1)]
        return found, store.first
    finally:
        store.close()


async def test_callers_that_come_together_are_committed_together_and_in_order(
    journal: Journal, frames: Frames
) -> None:
    records = frames(40)
    await asyncio.gather(*(journal.append([record]) for record in records))
    taken = await journal.take(0, 100, 2**20)
    assert [one.record for one in taken] == records
    assert (journal.head, journal.pending) == (40, 40)


async def test_a_waiting_reader_is_told_of_new_records(journal: Journal, frames: Frames) -> None:
    waiting = asyncio.create_task(journal.wait_beyond(0))
    await journal.append(frames(1))
    await waiting
    assert [one.sequence for one in await journal.take(0, 10, 2**20)] == [1]


async def test_a_full_journal_takes_nothing_until_core_has_something(
    tmp_path: Path, frames: Frames
) -> None:
    journal = await Journal.open(
        tmp_path / "a.journal", workspace="acme", publisher="edge-1", limits=Limits(200_000)
    )
    while journal.bytes < 200_000 - REPORT_BYTES:
        await journal.append(frames(1_000))
    waiting = asyncio.create_task(journal.append(frames(1)))
    head = journal.head
    assert await journal.take(0, 1, 2**20)
    assert not waiting.done()
    await journal.acknowledge([(1, head)])
    await waiting
    assert (journal.head, journal.pending) == (head + 1, 1)
    await journal.close()


async def test_the_end_lifts_the_limit_for_those_who_wait(tmp_path: Path, frames: Frames) -> None:
    journal = await Journal.open(
        tmp_path / "a.journal", workspace="acme", publisher="edge-1", limits=Limits(1)
    )
    waiting = asyncio.create_task(journal.append(frames(5)))
    await asyncio.sleep(0)  # lets the task find the journal full
    assert journal.head == 0
    journal.lift_limit()
    await waiting
    assert journal.pending == 5
    await journal.close()


async def test_what_was_asked_for_before_closing_is_committed(
    tmp_path: Path, frames: Frames
) -> None:
    path = tmp_path / "a.journal"
    journal = await Journal.open(path, workspace="acme", publisher="edge-1")
    appending = asyncio.create_task(journal.append(frames(3)))
    await asyncio.sleep(0)  # lets the task ask
    await journal.close()
    await appending
    assert reopened(path) == ([1, 2, 3], 4)


async def test_an_error_breaks_the_journal_for_everybody_and_for_good(
    journal: Journal, frames: Frames
) -> None:
    await journal.append(frames(1))
    journal._thread._store._connection.execute("DROP TABLE records")
    waiting = asyncio.create_task(journal.wait_beyond(1))
    with pytest.raises(JournalBroken, match="no such table"):
        await journal.append(frames(1))
    with pytest.raises(JournalBroken):
        await waiting
    with pytest.raises(JournalBroken):
        await journal.append(frames(1))


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_loses_nothing_that_was_confirmed(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.journal"
    rounds = random.Random(seed)
    floor = 0
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            confirmed = [int(child.stdout.readline()) for _ in range(rounds.randrange(1, 200))]
            child.send_signal(signal.SIGKILL)
            confirmed += [int(line) for line in child.stdout if line.endswith("\n")]
        found, following = reopened(path)
        assert found == list(range(1, following))
        assert following > max(confirmed) > floor
        floor = following - 1
