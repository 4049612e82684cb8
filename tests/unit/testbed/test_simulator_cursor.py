from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from ingress_testbed.recordings import Frame, open_recording, write_recording
from ingress_testbed.simulator.cursor import Cursor, Cursors

ALL = {"a": frozenset(["odo"]), "b": frozenset(["odo"])}
ONLY_A = {"a": frozenset(["odo"])}


@pytest.fixture
def cursor(tmp_path: Path) -> Iterator[Cursor]:
    path = tmp_path / "day.jsonl"
    write_recording(path, [Frame("ab"[time % 2], "odo", "1", time) for time in range(10)])
    cursor = Cursor(open_recording(path))
    yield cursor
    cursor.close()


def times(frames: Iterator[Frame], count: int | None = None) -> list[int]:
    return [frame.time for frame in islice(frames, count)]


def test_a_cursor_goes_on_behind_what_was_written(cursor: Cursor) -> None:
    assert times(cursor.take(ALL), 4) == [0, 1, 2, 3]
    cursor.written(4)
    assert times(cursor.take(ALL)) == [4, 5, 6, 7, 8, 9]


def test_what_was_taken_but_not_written_is_taken_again(cursor: Cursor) -> None:
    assert times(cursor.take(ALL), 4) == [0, 1, 2, 3]
    cursor.written(1)
    assert times(cursor.take(ALL), 2) == [1, 2]
    assert times(cursor.take(ALL), 4) == [1, 2, 3, 4]


def test_only_subscribed_vehicles_and_labels_are_taken(cursor: Cursor) -> None:
    assert times(cursor.take(ONLY_A)) == [0, 2, 4, 6, 8]
    assert times(Cursor(cursor._recording).take({"a": frozenset(["speed"])})) == []


def test_a_cursor_has_finished_once_everything_was_written(cursor: Cursor) -> None:
    assert not cursor.finished
    assert len(times(cursor.take(ALL))) == 10
    assert not cursor.finished
    cursor.written(10)
    assert cursor.finished
    assert times(cursor.take(ALL)) == []


@pytest.mark.parametrize(
    ("resend", "expected"),
    [
        (0, [6, 8]),
        (1, [4, 6, 8]),
        (3, [0, 2, 4, 6, 8]),
        (99, [0, 2, 4, 6, 8]),
        ("all", [0, 2, 4, 6, 8]),
    ],
)
def test_rewinding_counts_the_subscribed_frames_that_were_written(
    cursor: Cursor, resend: int, expected: list[int]
) -> None:
    assert times(cursor.take(ONLY_A), 4) == [0, 2, 4, 6]
    cursor.written(3)
    cursor.rewind(resend, ONLY_A)
    assert times(cursor.take(ONLY_A)) == expected


def test_a_finished_cursor_can_be_rewound(cursor: Cursor) -> None:
    cursor.written(len(times(cursor.take(ALL))))
    cursor.rewind(2, ALL)
    assert not cursor.finished
    assert times(cursor.take(ALL)) == [8, 9]


def test_a_new_connection_goes_on_where_the_key_stood(cursor: Cursor) -> None:
    cursors = Cursors(lambda: cursor._recording)
    first = cursors.take()
    assert times(first.take(ALL), 4) == [0, 1, 2, 3]
    first.written(3)
    cursors.give_back(first)
    assert times(cursors.take().take(ALL), 2) == [3, 4]
    cursors.close()


def test_two_connections_of_a_key_both_get_everything_from_there_on(cursor: Cursor) -> None:
    cursors = Cursors(lambda: cursor._recording)
    first = cursors.take()
    assert times(first.take(ALL), 4) == [0, 1, 2, 3]
    first.written(2)
    second = cursors.take()
    assert times(second.take(ALL)) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert times(first.take(ALL)) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert second.total == first.total == 2
    cursors.close()


def test_who_looked_in_briefly_does_not_move_the_place_back(cursor: Cursor) -> None:
    cursors = Cursors(lambda: cursor._recording)
    stays, leaves = cursors.take(), cursors.take()
    leaves.written(len(times(leaves.take(ALL), 1)))
    stays.written(len(times(stays.take(ALL), 5)))
    cursors.give_back(leaves)
    cursors.give_back(stays)
    assert times(cursors.take().take(ALL)) == [5, 6, 7, 8, 9]
    cursors.close()


def test_a_key_has_finished_once_everybody_who_is_there_has_everything(cursor: Cursor) -> None:
    cursors = Cursors(lambda: cursor._recording)
    assert not cursors.finished
    first, second = cursors.take(), cursors.take()
    first.written(len(times(first.take(ALL))))
    assert not cursors.finished
    cursors.give_back(second)
    assert cursors.finished
    cursors.give_back(first)
    assert cursors.finished
    assert cursors.take().finished
    cursors.close()
