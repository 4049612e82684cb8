"""Bitmaps of sequence numbers against plain sets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_ingest.ledger.numbers import BLOCK, NumberSet, Range, Run, blocks, runs

EDGES = [0, 1, 7, 8, 4_096, 4_097, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK - 1, 2**63 - 1]

numbers = st.sampled_from(EDGES) | st.integers(0, 3 * BLOCK) | st.integers(0, 2**63 - 1)
ranges = st.tuples(numbers, st.integers(0, 2 * BLOCK)).map(lambda r: (r[0], r[0] + r[1]))


def members(run: Run) -> set[int]:
    first, bits = run
    return {
        first + 8 * index + bit
        for index, byte in enumerate(bits)
        for bit in range(8)
        if byte >> bit & 1
    }


def spread(run: Run) -> set[int]:
    """The numbers of a run by way of its blocks."""
    return {
        number
        for block, bits in blocks(*run)
        for number in members((block * BLOCK, bits.to_bytes(BLOCK // 8, "little").rstrip(b"\0")))
    }


def within(numbers: set[int], span: Range) -> int:
    return sum(span[0] <= number <= span[1] for number in numbers)


@given(st.lists(numbers, max_size=60))
def test_runs_hold_exactly_the_numbers_whatever_their_order(found: list[int]) -> None:
    made = list(runs(list(found)))

    assert set().union(*map(members, made)) == set(found)
    assert sum(len(members(run)) for run in made) == len(set(found))


@given(st.lists(numbers, min_size=1, max_size=60))
def test_runs_stay_small_where_numbers_lie_far_apart(found: list[int]) -> None:
    made = list(runs(list(found)))

    assert sum(len(bits) for _, bits in made) <= 513 * len(set(found))
    assert [first for first, _ in made] == sorted(first for first, _ in made)
    assert all(bits[0] & 1 and bits[-1] for _, bits in made)


def test_no_numbers_are_no_runs() -> None:
    assert list(runs([])) == []


@given(st.lists(numbers, min_size=1, max_size=20))
def test_blocks_hold_exactly_the_numbers_of_their_run(found: list[int]) -> None:
    for run in runs(list(found)):
        assert spread(run) == members(run)
        assert all(0 < bits < 1 << BLOCK for _, bits in blocks(*run))


@pytest.mark.parametrize("first", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK - 8])
@pytest.mark.parametrize("count", [1, 8, BLOCK, BLOCK + 1, 2 * BLOCK + 9, 2**60])
def test_a_range_counts_every_number_once_however_many(first: int, count: int) -> None:
    total = NumberSet()

    assert total.add_range(first, first + count - 1) == count
    assert total.add_range(first, first + count - 1) == 0
    assert total.count_within(first, first + count - 1) == count
    assert total.count_within(0, 2**63) == count


def filled(spans: list[Range], base: NumberSet | None = None) -> tuple[NumberSet, int]:
    """A set of all numbers of `spans`, and how many of them were new."""
    made = NumberSet() if base is None else base
    return made, sum(made.add_range(*span) for span in spans)


def plain(spans: list[Range]) -> set[int]:
    return {number for low, high in spans for number in range(low, high + 1)}


fewer = settings(max_examples=30)  # each spreads some 100,000 numbers out
small_ranges = st.tuples(
    st.sampled_from([0, 5, BLOCK - 3, BLOCK, 2 * BLOCK, 4 * BLOCK - 1]),
    st.sampled_from([0, 1, 17, BLOCK - 1, BLOCK, BLOCK + 3]),
).map(lambda r: (r[0], r[0] + r[1]))


@fewer
@given(st.lists(small_ranges, max_size=5), st.lists(small_ranges, max_size=3), small_ranges)
def test_set_counts_like_a_plain_set(spans: list[Range], more: list[Range], window: Range) -> None:
    known = plain(spans)
    found, new = filled(spans)

    assert new == len(known)
    assert found.count_within(*window) == within(known, window)
    assert filled(more, found)[1] == len(plain(more) - known)
    assert found.count_within(*window) == within(known | plain(more), window)


@fewer
@given(st.lists(small_ranges, max_size=5), st.lists(small_ranges, max_size=3), small_ranges)
def test_set_goes_on_from_what_was_saved(
    spans: list[Range], more: list[Range], window: Range
) -> None:
    first, _ = filled(spans)
    again = NumberSet(first.full(), first.partial())

    _, new = filled(more, again)

    assert new == len(plain(more) - plain(spans))
    assert again.count_within(*window) == within(plain(spans) | plain(more), window)
    assert again.changed <= {number // BLOCK for number in plain(more)}


@fewer
@given(st.lists(small_ranges, max_size=6))
def test_full_blocks_are_ranges_and_only_those(spans: list[Range]) -> None:
    known = plain(spans)
    found, _ = filled(spans)
    full = [
        block for block in range(6) if plain([(block * BLOCK, (block + 1) * BLOCK - 1)]) <= known
    ]

    assert [
        block for low, high in found.full() for block in range(low // BLOCK, high // BLOCK + 1)
    ] == full
    assert all(
        low % BLOCK == 0 and high % BLOCK == BLOCK - 1 and low < high for low, high in found.full()
    )
    assert not found.partial().keys() & set(full)


def test_neighbouring_full_blocks_are_one_range() -> None:
    found, _ = filled([(0, 2 * BLOCK - 1), (4 * BLOCK, 5 * BLOCK - 1)])
    assert found.full() == [(0, 2 * BLOCK - 1), (4 * BLOCK, 5 * BLOCK - 1)]

    filled([(2 * BLOCK, 4 * BLOCK - 1)], found)
    assert found.full() == [(0, 5 * BLOCK - 1)]


def test_bits_added_to_a_full_block_are_not_new() -> None:
    found = NumberSet([(0, BLOCK - 1)])

    assert found.add(0, 0b1011) == 0
    assert found.changed == set()


def test_adding_returns_only_the_bits_that_were_new() -> None:
    found = NumberSet()

    assert found.add(3, 0b0011) == 0b0011
    assert found.add(3, 0b0110) == 0b0100
    assert found.changed == {3}


def test_empty_window_counts_nothing() -> None:
    found, _ = filled([(0, BLOCK)])

    assert found.count_within(5, 4) == 0


@given(st.lists(ranges, max_size=3), ranges)
def test_count_within_a_window_never_exceeds_it(spans: list[Range], window: Range) -> None:
    found, _ = filled(spans)

    assert 0 <= found.count_within(*window) <= window[1] - window[0] + 1
