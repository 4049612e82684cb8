"""Damaged journals: set aside, and what could be saved of them goes on."""

import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from ingress_contracts.control import CheckpointEpoch
from ingress_contracts.envelope import MAX_DATA_BYTES
from telematics_publisher.errors import JournalDamaged, JournalFull, JournalInUse, JournalMismatch
from telematics_publisher.journal import recovery
from telematics_publisher.journal.file import open_file, reading
from telematics_publisher.journal.limits import Excess
from telematics_publisher.journal.recovery import open_store
from telematics_publisher.journal.salvage import Salvage
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.records import Lane, Record, Stored

NOW = 1_700_000_000_000_000
PAGE = 4_096
Frames = Callable[[int], list[Record]]

APPENDER = """
import sys
from pathlib import Path
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.records import Record, provider_lane

lane = provider_lane("viriciti", "/viriciti/acme/buses", timestamped=True)
store = JournalStore.open(Path(sys.argv[1]), workspace="acme", publisher="edge-1", now=0)
while True:
    with store.transaction():
        store.append([Record(lane, 0, None, b"x" * 200)] * 5)
    print(store.head, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


@contextmanager
def opened(path: Path, now: int = NOW) -> Iterator[JournalStore]:
    store = open_store(path, workspace="acme", publisher="edge-1", now=now)
    try:
        yield store
    finally:
        store.close()


def append_until_killed(path: Path, head: int) -> None:
    """Let a process append until its highest number is `head`, and kill it."""
    with subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        while int(child.stdout.readline()) < head:
            pass
        child.send_signal(signal.SIGKILL)


def put(store: JournalStore, records: list[Record]) -> None:
    with store.transaction():
        store.append(records)


def take(store: JournalStore) -> list[Stored]:
    with store.transaction():
        return store.take(0, 100_000, 2**30)


def told(store: JournalStore) -> tuple[CheckpointEpoch, ...]:
    with store.transaction():
        return store.checkpoint(NOW)[1]


def filled(path: Path, lane: Lane, count: int = 2_000) -> UUID:
    """Make a journal of `count` records in several commits, of which the first ten are gone."""
    with opened(path) as store:
        for at in range(0, count, 100):
            put(
                store,
                [Record(lane, NOW, "arcc_004", b"%06d" % n * 30) for n in range(at, at + 100)],
            )
        with store.transaction():
            store.acknowledge([(1, 10)])
        return store.epoch


def strike(path: Path, offset: int, size: int = PAGE) -> None:
    """Overwrite `size` bytes."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(random.Random(offset).randbytes(size))


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def aside(path: Path) -> list[Path]:
    return sorted(one for one in path.parent.iterdir() if ".damaged-" in one.name)


@pytest.mark.parametrize(
    "content", [b"something else" * 1_000, b"x", b"SQLite format 3\0" + b"?" * 9_000]
)
def test_a_file_that_is_no_journal_is_set_aside_untouched_and_said_loudly(
    path: Path, frames: Frames, content: bytes
) -> None:
    path.write_bytes(content)
    with capture_logs() as logs, opened(path) as store:
        put(store, frames(3))
        assert [one.sequence for one in take(store)] == [1, 2, 3]
    (set_aside,) = aside(path)
    assert re.fullmatch(r"a\.journal\.damaged-20231114T221320Z", set_aside.name)
    assert set_aside.read_bytes() == content
    (said,) = [one for one in logs if one["event"] == "journal_damaged"]
    assert said["log_level"] == "error"
    assert (said["journal"], said["set_aside"]) == (str(path), str(set_aside))
    assert "look after the disk" in said["remedy"]
    assert "in_flight" in said["consequence"]


def test_records_on_sound_pages_keep_epoch_and_number_and_new_ones_rise_above_all(
    path: Path, lane: Lane
) -> None:
    epoch = filled(path, lane)
    size = path.stat().st_size
    for part in (3, 5, 8):
        strike(path, size * part // 10 // PAGE * PAGE)
    with opened(path, NOW + 1_000) as store:
        taken = take(store)
        assert 1_900 < len(taken) < 1_990
        assert {one.epoch for one in taken} == {epoch}
        for one in taken:
            assert one.record == Record(lane, NOW, "arcc_004", b"%06d" % (one.sequence - 1) * 30)
        assert (store.first, store.attempted_through) == (2_001, 2_000)
        old, new = told(store)
        numbers = [n for low, high in old.pending for n in range(low, high + 1)]
        assert numbers == [one.sequence for one in taken]
        assert (old.epoch, old.first, old.head, old.closed) == (epoch, 1, 2_000, True)
        assert old.dropped == ()
        assert new.epoch != epoch
    with opened(path, NOW + 2_000):
        pass
    assert len([one for one in aside(path) if not one.name.endswith("-wal")]) == 1, "it is sound"


@pytest.mark.parametrize("seed", range(8))
def test_whatever_page_is_hit_no_number_is_reused_and_no_record_is_changed(
    path: Path, lane: Lane, seed: int
) -> None:
    epoch = filled(path, lane)
    pages = path.stat().st_size // PAGE
    dice = random.Random(seed)
    for _ in range(dice.randrange(1, 6)):
        strike(path, dice.randrange(pages) * PAGE + dice.randrange(PAGE - 100), 100)
    with opened(path, NOW + 1_000) as store:
        assert store.epoch != epoch
        taken = take(store)
        kept = [one for one in taken if one.epoch == epoch]
        assert all(one.sequence < store.first for one in taken)
        assert len({one.sequence for one in taken}) == len(taken)
        assert all(11 <= one.sequence <= 2_000 for one in kept)
        pending = [
            n for each in told(store) for low, high in each.pending for n in range(low, high + 1)
        ]
        assert pending == [one.sequence for one in taken]


@pytest.mark.parametrize(("high", "read_as"), [(0xC5, 8_892), (0x84, 572)])
def test_a_number_that_is_damaged_costs_its_record_and_no_other(
    path: Path, lane: Lane, high: int, read_as: int
) -> None:
    filled(path, lane)
    content = bytearray(path.read_bytes())
    record = content.index(b"%06d" % 699 * 30)
    number = content.rindex(bytes((0x85, 0x3C)), 0, record)  # 700 as SQLite writes it
    content[number] = high
    path.write_bytes(content)
    with capture_logs() as logs, opened(path, NOW + 1_000) as store:
        assert [one.sequence for one in take(store)] == [*range(11, 700), *range(701, 2_001)]
        assert store.first == 2_001
    (said,) = [one for one in logs if one["event"] == "journal_damaged"]
    assert said["unreadable"] == [f"record {read_as}, out of order"]


@pytest.mark.parametrize("size", [16, 100, PAGE])
def test_a_first_page_that_is_lost_loses_no_record(path: Path, lane: Lane, size: int) -> None:
    epoch = filled(path, lane)
    strike(path, 0, size)
    with opened(path, NOW + 1_000) as store:
        taken = take(store)
        assert {one.epoch for one in taken} == {epoch}
        assert [one.sequence for one in taken] == list(range(11, 2_001))
        assert store.first == 2_001
    names = {one.name for one in path.parent.iterdir()}
    assert names == {"a.journal", "a.journal.damaged-20231114T221320Z"} | {
        name for name in names if name.endswith("-wal")
    }


def test_a_file_cut_short_gives_what_is_left(path: Path, lane: Lane) -> None:
    epoch = filled(path, lane)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with opened(path, NOW + 1_000) as store:
        taken = take(store)
        assert {one.epoch for one in taken} <= {epoch}
        assert store.first == 2_001, "the highest number is still known"


def test_records_of_an_epoch_that_is_lost_get_numbers_of_an_epoch_of_their_own(
    path: Path, lane: Lane
) -> None:
    lost = filled(path, lane, 200)
    edit(path, "DELETE FROM epochs")
    with opened(path, NOW + 1_000) as store:
        taken = take(store)
        assert [one.record.data for one in taken] == [b"%06d" % n * 30 for n in range(10, 200)]
        assert [one.sequence for one in taken] == list(range(201, 391))
        (epoch,) = {one.epoch for one in taken}
        assert epoch not in {lost, store.epoch}
        saved, new = told(store)
        assert (saved.epoch, saved.first, saved.head, saved.pending) == (
            epoch,
            201,
            390,
            ((201, 390),),
        )
        assert new.first == 391


def test_reports_are_saved_with_what_they_settle(path: Path, lane: Lane, frames: Frames) -> None:
    with opened(path) as store:
        put(store, [*frames(3), Record(lane, NOW, None, b"x" * (MAX_DATA_BYTES + 1)), *frames(1)])
        with store.transaction():
            store.set_aside(2, reason="too_large", detail="HTTP 413", now=NOW)
    edit(path, "DROP TABLE reports", "PRAGMA user_version = 2")
    with opened(path, NOW + 1_000) as store:
        assert list(store.pending) == [(1, 7)]
        with store.transaction():
            store.acknowledge([(5, 5), (7, 7)])
        assert list(store.pending) == [(1, 1), (3, 3), (6, 6)]


def test_drops_that_core_has_not_heard_of_are_saved(path: Path, frames: Frames) -> None:
    with opened(path) as store:
        put(store, frames(10))
        with store.transaction():
            store.drop(Excess(4, 0))
    edit(path, "DELETE FROM identity")
    with opened(path, NOW + 1_000) as store:
        (old, _) = told(store)
        assert len(old.dropped) == 1
        assert old.pending[0][0] == old.dropped[0][1] + 1


@pytest.mark.parametrize("header", [False, True])
def test_a_torn_log_is_noticed_kept_and_read_up_to_the_tear(path: Path, header: bool) -> None:
    append_until_killed(path, 200)
    log = path.with_name("a.journal-wal")
    strike(log, 8 if header else log.stat().st_size // 2 // PAGE * PAGE, 8 if header else PAGE)
    found = log.read_bytes()
    with capture_logs() as logs, opened(path, NOW) as store:
        taken = [one.sequence for one in take(store)]
        assert taken == list(range(1, len(taken) + 1))
        assert store.first > len(taken)
    (said,) = [one for one in logs if one["event"] == "journal_damaged"]
    assert "write-ahead log is torn" in said["reason"] or header
    kept = [one for one in aside(path) if one.name.endswith("-wal")]
    assert [one.read_bytes() for one in kept] == [found]


def test_the_end_of_a_log_that_a_power_cut_left_is_no_damage(path: Path) -> None:
    append_until_killed(path, 100)
    log = path.with_name("a.journal-wal")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 10)
    with opened(path) as store:
        assert store.first > 90
    assert aside(path) == []


def test_an_index_that_a_killed_reader_left_is_no_damage(path: Path) -> None:
    append_until_killed(path, 100)
    index = path.with_name("a.journal-shm")
    with reading(path) as connection:
        connection.execute("SELECT count(*) FROM records").fetchall()
        content = index.read_bytes()
    index.write_bytes(content)
    append_until_killed(path, 200)  # which knows nothing of that file
    with opened(path) as store:
        assert len(take(store)) >= 200
    assert aside(path) == []


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (["DELETE FROM identity"], "whose journal"),
        (["DROP TABLE lanes"], "tables are missing: lanes"),
        (["UPDATE sqlite_sequence SET seq = 5"], "no epoch"),
        (["PRAGMA user_version = 99", "PRAGMA application_id = 7"], "format 99"),
        (["PRAGMA user_version = 0"], "format 0"),
    ],
)
def test_a_file_that_contradicts_itself_is_damaged(
    path: Path, lane: Lane, statements: list[str], reason: str
) -> None:
    filled(path, lane, 100)
    edit(path, *statements)
    with pytest.raises(JournalDamaged, match=reason):
        JournalStore.open(path, workspace="acme", publisher="edge-1", now=NOW)
    with opened(path) as store:
        assert store.first == 101


def test_a_damaged_journal_of_another_publisher_is_left_alone(path: Path, lane: Lane) -> None:
    filled(path, lane)
    strike(path, path.stat().st_size // 2 // PAGE * PAGE)
    before = path.read_bytes()
    with pytest.raises(JournalMismatch, match="belongs to publisher 'edge-1'"):
        open_store(path, workspace="acme", publisher="edge-2", now=NOW)
    assert path.read_bytes() == before
    assert aside(path) == []


def test_a_journal_that_is_open_elsewhere_is_not_set_aside(path: Path) -> None:
    with opened(path), pytest.raises(JournalInUse):
        open_store(path, workspace="acme", publisher="edge-1", now=NOW)
    assert aside(path) == []


@pytest.mark.parametrize("crash", range(1, 7))
def test_a_recovery_that_is_cut_off_is_finished_by_the_next_opening(
    path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch, crash: int
) -> None:
    filled(path, lane)
    strike(path, path.stat().st_size // 2 // PAGE * PAGE)
    count = 0

    class PowerCut(BaseException):
        pass

    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == crash:
            raise PowerCut
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    try:
        with opened(path, NOW + 1_000):
            pass
    except PowerCut:
        pass
    monkeypatch.undo()
    with opened(path, NOW + 2_000) as store:
        taken = [one.sequence for one in take(store)]
        assert 1_900 < len(taken) < 1_990
        assert store.first == 2_001
    assert len([one for one in aside(path) if not one.name.endswith("-wal")]) == 1
    assert not [
        one for one in path.parent.iterdir() if "rebuilt" in one.name or "building" in one.name
    ]


def test_a_recovery_that_finds_no_room_says_so_and_leaves_everything(
    path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, lane)
    strike(path, path.stat().st_size // 2 // PAGE * PAGE)
    before = path.read_bytes()

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(Salvage, "_write_books", full)
    with pytest.raises(JournalFull, match="no room"), opened(path):
        pass
    monkeypatch.undo()
    assert path.read_bytes() == before
    with opened(path) as store:
        assert store.first == 2_001


def test_a_second_damage_in_the_same_second_gets_a_name_of_its_own(path: Path) -> None:
    for content in (b"one", b"two"):
        path.write_bytes(content * 1_000)
        with opened(path):
            pass
    assert [one.read_bytes()[:3] for one in aside(path)] == [b"one", b"two"]


def test_two_processes_do_not_recover_at_once(path: Path) -> None:
    path.write_bytes(b"damaged" * 1_000)
    with recovery._locked(path.parent), pytest.raises(JournalInUse, match="recovering"):
        open_store(path, workspace="acme", publisher="edge-1", now=NOW)
    assert path.read_bytes().startswith(b"damaged")


def test_a_journal_of_the_first_format_goes_on(path: Path, lane: Lane, tmp_path: Path) -> None:
    epoch = filled(path, lane, 100)
    edit(path, "DROP TABLE dropped", "PRAGMA user_version = 1", "PRAGMA application_id = 0")
    shutil.copy(path, tmp_path / "b.journal")
    with opened(path) as store:
        assert {one.epoch for one in take(store)} == {epoch}
        assert list(store.pending) == [(11, 100)]
    assert aside(path) == []


def test_a_first_opening_that_was_killed_is_no_damage(path: Path) -> None:
    open_file(path).close()  # which has no owner yet
    with opened(path):
        pass
    assert aside(path) == []
