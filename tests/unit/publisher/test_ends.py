"""Ends of partitions that move back, against a model that remembers everything."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from telematics_publisher.transports.ends import Ends, Gone, merged

ONE = UUID("0190b0d0-0000-7000-8000-000000000001")
OTHER = UUID("0190b0d0-0000-7000-8000-000000000002")


def numbers(first: int, last: int, epoch: UUID = ONE) -> list[tuple[UUID, int] | None]:
    return [(epoch, number) for number in range(first, last + 1)]


def told(gone: Gone | None) -> dict[UUID, list[tuple[int, int]]]:
    assert gone is not None
    return {epoch: list(ranges) for epoch, ranges in gone.numbers.items()}


def test_an_end_that_only_moves_on_is_no_news() -> None:
    ends = Ends()
    assert ends.written(0, 7, numbers(1, 5)) is None
    assert ends.written(0, 12, [None]) is None
    assert ends.written(0, 20, numbers(6, 9)) is None
    assert ends.written(1, 0, numbers(10, 11)) is None


def test_a_partition_made_anew_has_lost_everything() -> None:
    ends = Ends()
    ends.written(0, 0, numbers(1, 5))
    ends.written(0, 5, numbers(6, 9, OTHER))
    gone = ends.written(0, 0, numbers(10, 10))
    assert told(gone) == {ONE: [(1, 5)], OTHER: [(6, 9)]}
    assert gone is not None
    assert (gone.partition, gone.end, gone.now, gone.records) == (0, 9, 0, 9)


def test_a_partition_that_was_cut_off_has_lost_its_end_and_keeps_the_rest() -> None:
    ends = Ends()
    ends.written(0, 0, numbers(1, 10))
    assert told(ends.written(0, 6, numbers(11, 12))) == {ONE: [(7, 10)]}
    assert told(ends.written(0, 4, numbers(13, 13))) == {ONE: [(5, 6), (11, 12)]}


def test_a_checkpoint_moves_the_end_and_is_no_number() -> None:
    ends = Ends()
    ends.written(0, 0, [None, (ONE, 1), None, (ONE, 2)])
    gone = ends.written(0, 2, [None])
    assert told(gone) == {ONE: [(2, 2)]}


def test_partitions_that_are_not_there_any_more_are_told_once() -> None:
    ends = Ends()
    for partition in range(3):
        ends.written(partition, 0, numbers(partition * 10, partition * 10 + 4))
    (gone,) = ends.vanished(beyond=2)
    assert (gone.partition, gone.now, told(gone)) == (2, None, {ONE: [(20, 24)]})
    both = ends.vanished()
    assert {epoch: list(ranges) for epoch, ranges in merged(both)} == {ONE: [(0, 4), (10, 14)]}
    assert ends.vanished() == []


def test_only_the_latest_numbers_are_remembered() -> None:
    ends = Ends(remembered=10)
    for at in range(0, 100, 5):
        ends.written(0, at, numbers(at, at + 4))
    gone = ends.written(0, 0, numbers(100, 100))
    assert told(gone) == {ONE: [(90, 99)]}
    assert gone is not None
    assert gone.end == 100


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), max_size=20))
def test_what_is_told_is_what_was_written_and_then_overwritten(
    writes: list[tuple[int, int]],
) -> None:
    ends, model, number = Ends(), dict[int, int](), 0
    end = 0
    for offset, count in writes:
        batch = numbers(number, number + count - 1)
        number += count
        gone = ends.written(0, offset, batch)
        lost = sorted(model.pop(at) for at in list(model) if at >= offset)
        if offset < end:
            assert [
                one for low, high in told(gone).get(ONE, []) for one in range(low, high + 1)
            ] == lost
        else:
            assert gone is None
            assert not lost
        model |= {offset + at: pair[1] for at, pair in enumerate(batch) if pair}
        end = offset + count
