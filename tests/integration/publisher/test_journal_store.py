from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingress_contracts.control import CheckpointEpoch, Undeliverable
from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_contracts.kinds import UNDELIVERABLE
from telematics_publisher.errors import JournalBroken, JournalInUse, JournalMismatch
from telematics_publisher.journal.file import VERSION
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.records import Lane, Record, Stored

NOW = 1_700_000_000_000_000
Frames = Callable[[int], list[Record]]


@contextmanager
def opened(path: Path, now: int = NOW) -> Iterator[JournalStore]:
    store = JournalStore.open(path / "a.journal", workspace="acme", publisher="edge-1", now=now)
    try:
        yield store
    finally:
        store.close()


def put(store: JournalStore, records: list[Record]) -> None:
    with store.transaction():
        store.append(records)


def take(store: JournalStore, after: int = 0, most: int = 1_000, size: int = 2**20) -> list[Stored]:
    with store.transaction():
        return store.take(after, most, size)


def numbers(store: JournalStore, after: int = 0) -> list[int]:
    return [one.sequence for one in take(store, after)]


def epochs(store: JournalStore) -> tuple[CheckpointEpoch, ...]:
    with store.transaction():
        return store.checkpoint(NOW)[1]


@pytest.mark.parametrize("count", [1, 2, 3, 500, 4_095, 4_097, 9_000])
def test_records_come_back_in_order_as_they_were(
    tmp_path: Path, frames: Frames, count: int
) -> None:
    with opened(tmp_path) as store:
        put(store, frames(count))
        taken = take(store, most=count + 1)
        assert [one.record for one in taken] == frames(count)
        assert [one.sequence for one in taken] == list(range(1, count + 1))
        assert {one.epoch for one in taken} == {store.epoch}


def test_bytes_and_texts_survive_whatever_they_are(tmp_path: Path, lane: Lane) -> None:
    records = [
        Record(lane, NOW, "Zoë \"1\" 'x'", bytes(range(256))),
        Record(lane, NOW, None, b""),
        Record(lane, NOW, "\U0001f68c", b"\x00" * MAX_DATA_BYTES),
    ]
    with opened(tmp_path) as store:
        put(store, records)
        assert [one.record for one in take(store)] == records


def test_a_batch_is_limited_by_count_and_bytes_but_is_never_empty(
    tmp_path: Path, lane: Lane
) -> None:
    with opened(tmp_path) as store:
        put(store, [Record(lane, NOW, None, b"x" * size) for size in (10, 10, 500, 10)])
        assert [one.sequence for one in take(store, most=1)] == [1]
        assert [one.sequence for one in take(store, size=20)] == [1, 2]
        assert [one.sequence for one in take(store, after=2, size=20)] == [3]
        assert [one.sequence for one in take(store, after=3, size=20)] == [4]
        assert take(store, after=4) == []


def test_what_was_taken_counts_as_attempted_for_good(tmp_path: Path, frames: Frames) -> None:
    with opened(tmp_path) as store:
        put(store, frames(10))
        take(store, most=4)
        assert store.attempted_through == 4
    with opened(tmp_path) as store:
        take(store, most=2)
        assert store.attempted_through == 4


def test_acknowledged_records_are_gone_and_their_numbers_never_come_back(
    tmp_path: Path, frames: Frames
) -> None:
    with opened(tmp_path) as store:
        put(store, frames(10))
        with store.transaction():
            store.acknowledge([(1, 3), (5, 10)])
        assert numbers(store) == [4]
        assert list(store.pending) == [(4, 4)]
        with store.transaction():
            store.acknowledge([(4, 4)])
    with opened(tmp_path) as store:
        put(store, frames(2))
        assert numbers(store) == [11, 12]


def test_each_opening_begins_an_epoch_and_old_records_keep_theirs(
    tmp_path: Path, frames: Frames
) -> None:
    with opened(tmp_path) as store:
        first = store.epoch
        put(store, frames(5))
        with store.transaction():
            store.acknowledge([(2, 3)])
    with opened(tmp_path, NOW + 1_000) as store:
        put(store, frames(2))
        assert store.epoch > first
        assert [(one.epoch, one.sequence) for one in take(store)] == [
            (first, 1),
            (first, 4),
            (first, 5),
            (store.epoch, 6),
            (store.epoch, 7),
        ]
        assert epochs(store) == (
            CheckpointEpoch(epoch=first, first=1, head=5, pending=((1, 1), (4, 5)), closed=True),
            CheckpointEpoch(epoch=store.epoch, first=6, head=7, pending=((6, 7),)),
        )


def test_a_closed_epoch_is_reported_until_it_is_forgotten(tmp_path: Path, frames: Frames) -> None:
    with opened(tmp_path) as store:
        first = store.epoch
        put(store, frames(1))
        with store.transaction():
            store.acknowledge([(1, 1)])
    for _ in range(2):
        with opened(tmp_path) as store:
            assert epochs(store)[0] == CheckpointEpoch(epoch=first, first=1, head=1, closed=True)
    with opened(tmp_path) as store:
        with store.transaction():
            store.confirm(store.checkpoint(NOW)[1])
        assert first not in {one.epoch for one in epochs(store)}
    with opened(tmp_path) as store:
        assert len(epochs(store)) == 1  # openings that handed out nothing are no news


def test_checkpoint_numbers_rise_whatever_the_clock_does(tmp_path: Path) -> None:
    seen = []
    for now in (NOW, NOW - 500, NOW + 7):
        with opened(tmp_path) as store, store.transaction():
            seen.append(store.checkpoint(now)[0])
    assert seen == [NOW, NOW + 1, NOW + 7]


def test_a_record_set_aside_stays_pending_until_its_report_is_acknowledged(
    tmp_path: Path, frames: Frames
) -> None:
    with opened(tmp_path) as store:
        put(store, frames(3))
        with store.transaction():
            assert store.set_aside(2, reason="too_large", detail="HTTP 413", now=NOW)
        assert not store.set_aside(2, reason="too_large", detail="again", now=NOW)
        first = store.epoch
        assert list(store.pending) == [(1, 4)]
    with opened(tmp_path) as store:  # the report survives the process
        assert list(store.pending) == [(1, 4)]
        *others, report = take(store)
        assert [one.sequence for one in others] == [1, 3]
        assert (report.sequence, report.record.lane.type) == (4, UNDELIVERABLE)
        assert Undeliverable.model_validate_json(report.record.data) == Undeliverable(
            epoch=first,
            sequence=2,
            reason="too_large",
            detail="HTTP 413",
            size=1,
            subject="arcc_004",
        )
        with store.transaction():
            store.acknowledge([(4, 4)])
        assert list(store.pending) == [(1, 1), (3, 3)]


def test_oversized_data_take_a_number_and_a_report_that_settles_it(
    tmp_path: Path, lane: Lane, frames: Frames
) -> None:
    with opened(tmp_path) as store:
        big = Record(lane, NOW, "arcc_004", b"x" * (MAX_DATA_BYTES + 1))
        put(store, [*frames(1), big, *frames(1)])
        assert store.head == 4
        assert numbers(store) == [1, 3, 4]
        body = Undeliverable.model_validate_json(take(store)[1].record.data)
        assert (body.epoch, body.sequence, body.reason, body.size) == (
            store.epoch,
            2,
            "oversized",
            MAX_DATA_BYTES + 1,
        )
        with store.transaction():
            store.acknowledge([(3, 3)])
        assert list(store.pending) == [(1, 1), (4, 4)]


def test_used_bytes_shrink_when_records_leave(tmp_path: Path, lane: Lane) -> None:
    with opened(tmp_path) as store:
        put(store, [Record(lane, NOW, None, b"x" * 10_000)] * 100)
        full = store.level().bytes
        with store.transaction():
            store.acknowledge([(1, 100)])
        assert full > 1_000_000 > store.level().bytes


def test_a_second_process_is_told_who_is_in(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(JournalInUse, match="open in another process"):
        JournalStore.open(tmp_path / "a.journal", workspace="acme", publisher="edge-1", now=NOW)


def test_a_journal_is_not_opened_for_another_publisher(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with pytest.raises(JournalMismatch, match="belongs to publisher 'edge-1'"):
        JournalStore.open(tmp_path / "a.journal", workspace="acme", publisher="edge-2", now=NOW)
    with opened(tmp_path):
        pass  # the attempt left nothing locked


def test_a_journal_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store._connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(JournalMismatch, match="newer version"), opened(tmp_path):
        pass


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalBroken, match=r"gone/a\.journal"), opened(tmp_path / "gone"):
        pass
