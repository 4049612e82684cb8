"""A record's traceparent: as long as the record, through restarts, migrations and damage."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_contracts.kinds import UNDELIVERABLE
from telematics_publisher.journal import report
from telematics_publisher.journal.limits import Excess
from telematics_publisher.journal.recovery import open_store
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.records import Envelopes, Lane, Record

NOW = 1_700_000_000_000_000
Frames = Callable[[int], list[Record]]


def traceparent(number: int) -> str:
    return f"00-{number:032x}-b7ad6b7169203331-01"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


@contextmanager
def opened(path: Path) -> Iterator[JournalStore]:
    store = open_store(path, workspace="acme", publisher="edge-1", now=NOW)
    try:
        yield store
    finally:
        store.close()


def put(store: JournalStore, records: list[Record], *traced: int) -> None:
    """Append records; those of these numbers are traced."""
    with store.transaction():
        store.append(
            [
                one._replace(traceparent=traceparent(number)) if number in traced else one
                for number, one in enumerate(records, store.head + 1)
            ]
        )


def traces(store: JournalStore, after: int = 0) -> dict[int, str]:
    with store.transaction():
        taken = store.take(after, 10_000, 2**30)
    return {one.sequence: one.record.traceparent for one in taken if one.record.traceparent}


def kept(path: Path) -> list[int]:
    """The numbers that have a row, at rest."""
    with closing(sqlite3.connect(path)) as connection:
        return [number for (number,) in connection.execute("SELECT sequence FROM traces")]


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_restart_keeps_it_and_the_envelope_carries_it(path: Path, frames: Frames) -> None:
    with opened(path) as store:
        put(store, frames(5_000), 2, 4_999)
    with opened(path) as store:
        put(store, frames(3))
        assert traces(store) == {2: traceparent(2), 4_999: traceparent(4_999)}
        assert traces(store, 2) == {4_999: traceparent(4_999)}
        with store.transaction():
            first, second = store.take(0, 2, 2**20)
    envelopes = Envelopes("acme", "edge-1")
    assert envelopes.of(first).traceparent is None
    assert envelopes.of(second).traceparent == traceparent(2)


def test_it_goes_with_the_record_that_core_has(path: Path, frames: Frames) -> None:
    with opened(path) as store:
        put(store, frames(10), 2, 5, 9)
        with store.transaction():
            store.acknowledge([(1, 3), (9, 10)])
        assert traces(store) == {5: traceparent(5)}
    assert kept(path) == [5]


def test_it_goes_with_the_record_that_is_dropped(path: Path, frames: Frames) -> None:
    with opened(path) as store:
        put(store, frames(10), 2, 5)
        with store.transaction():
            assert store.drop(Excess(bytes=0, before=NOW + 3)) == 3
    assert kept(path) == [5]


def test_a_report_carries_on_the_trace_of_what_it_settles(
    path: Path, frames: Frames, lane: Lane
) -> None:
    with opened(path) as store:
        put(store, frames(3), 1, 2)
        with store.transaction():
            store.set_aside(2, reason="too_large", detail="HTTP 413", now=NOW)
            store.set_aside(3, reason="too_large", detail="HTTP 413", now=NOW)
        put(store, [Record(lane, NOW, None, b"x" * (MAX_DATA_BYTES + 1))], 6)
        assert traces(store) == {1: traceparent(1), 4: traceparent(2), 7: traceparent(6)}
        with store.transaction():
            assert store.take(3, 1, 2**20)[0].record.lane.type == UNDELIVERABLE
            store.acknowledge([(1, 7)])
    assert kept(path) == []


def test_a_journal_of_the_second_format_goes_on(path: Path, frames: Frames) -> None:
    with opened(path) as store:
        put(store, frames(3))
    edit(path, "DROP TABLE traces", "PRAGMA user_version = 2")
    assert report.verify(path) == []
    assert report.inspect(path, NOW).format == 2
    with opened(path) as store:
        assert list(store.pending) == [(1, 3)]
        put(store, frames(1), 4)
        assert traces(store) == {4: traceparent(4)}
    assert report.verify(path) == []
    assert list(path.parent.glob("*.damaged-*")) == []


def test_what_can_be_read_of_a_damaged_journal_keeps_it(path: Path, frames: Frames) -> None:
    with opened(path) as store:
        put(store, frames(300), 7, 290)
    edit(path, "DROP TABLE reports")
    with opened(path) as store:
        assert traces(store) == {7: traceparent(7), 290: traceparent(290)}


def test_records_that_get_new_numbers_keep_it(path: Path, frames: Frames) -> None:
    with opened(path) as store:
        put(store, frames(300), 7, 290)
    edit(path, "DROP TABLE epochs")
    with opened(path) as store:
        assert traces(store) == {307: traceparent(7), 590: traceparent(290)}


def test_damaged_traces_cost_no_record(path: Path, frames: Frames) -> None:
    with opened(path) as store:
        put(store, frames(3), 1, 2, 3)
    edit(
        path,
        "DROP TABLE reports",
        "UPDATE traces SET traceparent = x'00ff' WHERE sequence = 1",
        "UPDATE traces SET traceparent = 'two words' WHERE sequence = 2",
    )
    with opened(path) as store:
        assert list(store.pending) == [(1, 3)]
        assert traces(store) == {3: traceparent(3)}


def test_a_journal_without_traces_is_damaged_and_its_records_go_on(
    path: Path, frames: Frames
) -> None:
    with opened(path) as store:
        put(store, frames(3), 1)
    edit(path, "DROP TABLE traces")
    with opened(path) as store:
        assert list(store.pending) == [(1, 3)]
        assert traces(store) == {}
