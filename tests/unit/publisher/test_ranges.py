from hypothesis import given
from hypothesis import strategies as st

from telematics_publisher.journal.ranges import RangeSet, ranges_of

number = st.integers(min_value=0, max_value=60)
span = st.tuples(number, number).map(lambda pair: (min(pair), max(pair)))
operations = st.lists(st.tuples(st.sampled_from(["add", "remove"]), span), max_size=40)


@given(operations, span)
def test_behaves_as_a_plain_set_of_numbers(
    steps: list[tuple[str, tuple[int, int]]], window: tuple[int, int]
) -> None:
    ranges, model = RangeSet(), set[int]()
    for name, (first, last) in steps:
        numbers = set(range(first, last + 1))
        if name == "add":
            ranges.add(first, last)
            model |= numbers
        else:
            ranges.remove(first, last)
            model -= numbers
    assert len(ranges) == len(model)
    assert list(ranges) == ranges_of(sorted(model))
    visible = sorted(model & set(range(window[0], window[1] + 1)))
    assert list(ranges.within(*window)) == ranges_of(visible)


@given(st.sets(number))
def test_ranges_of_numbers_hold_exactly_these_numbers(numbers: set[int]) -> None:
    ranges = ranges_of(sorted(numbers))
    assert [n for first, last in ranges for n in range(first, last + 1)] == sorted(numbers)
    assert list(RangeSet(ranges)) == ranges


def test_a_copy_goes_its_own_way() -> None:
    ranges = RangeSet([(1, 3), (7, 9)])
    copy = ranges.copy()
    copy.remove(1, 9)
    assert (len(ranges), ranges.spans, list(ranges)) == (6, 2, [(1, 3), (7, 9)])
    assert (len(copy), copy.spans, list(copy)) == (0, 0, [])
