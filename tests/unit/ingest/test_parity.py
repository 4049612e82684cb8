"""What came both ways and what only one, and the verdict, against plain sets of numbers."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_ingest.ledger.barriers import is_copy
from core_ingest.ledger.numbers import BLOCK, Range, count_spans, mask, spans
from core_ingest.ledger.parity import (
    LATEST,
    Block,
    Numbers,
    Parity,
    Verdict,
    compare,
    decide,
    percentile,
    together,
)
from core_ingest.ledger.settlements import DELAY_BOUNDS
from ingress_contracts.control import Checkpoint, Route

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)

numbers = st.sets(
    st.sampled_from([0, 1, 2, 5, BLOCK - 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
    | st.integers(0, 40),
    max_size=30,
)
members = st.fixed_dictionaries(
    dict.fromkeys(("firsts", "http", "kafka", "http_dead", "kafka_dead", "judged"), numbers)
)


def bitmaps(found: set[int]) -> dict[int, int]:
    made: dict[int, int] = {}
    for number in found:
        made[number // BLOCK] = made.get(number // BLOCK, 0) | 1 << number % BLOCK
    return made


def ranges(found: set[int]) -> list[Range]:
    return list(spans(bitmaps(found)))


def listed(found: Numbers) -> set[tuple[UUID, int]]:
    shown, more = found.ranges(1_000_000)
    assert more == 0
    return {(epoch, number) for epoch, (low, high) in shown for number in range(low, high + 1)}


@given(numbers)
def test_spans_are_maximal_and_hold_exactly_the_numbers(found: set[int]) -> None:
    made = ranges(found)

    assert {number for low, high in made for number in range(low, high + 1)} == found
    assert all(after[0] > before[1] + 1 for before, after in pairwise(made))
    assert count_spans(bitmaps(found)) == len(made)


@given(st.integers(0, 4), st.lists(st.tuples(st.integers(0, 4 * BLOCK), st.integers(0, BLOCK))))
def test_mask_holds_the_numbers_of_a_block_in_any_range(
    block: int, lengths: list[tuple[int, int]]
) -> None:
    given_ranges = [(first, first + length) for first, length in lengths]
    bits = mask(block, given_ranges)

    edges = {0, BLOCK - 1} | {bound - block * BLOCK for span in given_ranges for bound in span}
    for place in {edge + step for edge in edges for step in (-1, 0, 1)} & set(range(BLOCK)):
        number = block * BLOCK + place
        assert bits >> place & 1 == any(low <= number <= high for low, high in given_ranges)
    assert bits >> BLOCK == 0


@given(st.dictionaries(st.sampled_from([ONE, OTHER]), members))
def test_every_number_of_the_window_is_told_once(told: dict[UUID, dict[str, set[int]]]) -> None:
    blocks: dict[tuple[UUID, int], Block] = {}
    for epoch, sets in told.items():
        for name, found in sets.items():
            if name != "judged":
                for block, bits in bitmaps(found).items():
                    setattr(blocks.setdefault((epoch, block), Block()), name, bits)

    parity = compare(blocks, {epoch: ranges(sets["judged"]) for epoch, sets in told.items()})

    def those(*sought: str, without: str | None = None) -> set[tuple[UUID, int]]:
        return {
            (epoch, number)
            for epoch, sets in told.items()
            for number in set.intersection(*(sets[name] for name in sought))
            if without is None or number not in sets[without]
        }

    known = ("firsts", "judged")
    assert parity.both == len(those(*known, "http", "kafka"))
    assert listed(parity.only_http) == those(*known, "http", without="kafka")
    assert listed(parity.only_kafka) == those(*known, "kafka", without="http")
    assert listed(parity.dead_by_kafka) == those(
        *known, "http", "kafka", "kafka_dead", without="http_dead"
    )
    assert parity.under_way == len(those("firsts", without="judged"))


@given(numbers, st.integers(0, 5))
def test_list_of_ranges_is_bounded_and_says_how_many_more(found: set[int], most: int) -> None:
    every = ranges(found)
    shown, more = Numbers({ONE: bitmaps(found)} if found else {}).ranges(most)

    assert [span for _, span in shown] == every[:most]
    assert more == len(every) - len(shown)


def missing(count: int) -> Numbers:
    return Numbers({ONE: {0: (1 << count) - 1}} if count else {})


counts = st.integers(0, 20)
parities = st.builds(
    Parity,
    st.integers(0, 40),
    counts.map(missing),
    counts.map(missing),
    counts.map(missing),
    counts,
)
barriers = st.none() | st.integers(-700, 60).map(lambda at: NOON + timedelta(seconds=at))


@given(parities, barriers, st.integers(1, 60))
def test_verdict_is_safe_only_where_nothing_speaks_against_it(
    parity: Parity, barrier: datetime | None, least: int
) -> None:
    verdict, reasons = decide(parity, barrier=barrier, end=NOON, least=least)

    faulty = len(parity.only_http) + len(parity.only_kafka) + len(parity.dead_by_kafka) > 0
    fresh = barrier is not None and barrier >= NOON - LATEST
    enough = parity.judged >= least
    assert (verdict is Verdict.UNSAFE) == faulty
    assert (verdict is Verdict.SAFE) == (not faulty and fresh and enough)
    assert (verdict is Verdict.SAFE) == (not reasons)


@given(parities, barriers, st.integers(1, 60))
def test_more_traffic_or_a_later_checkpoint_never_unmakes_safe(
    parity: Parity, barrier: datetime | None, least: int
) -> None:
    before, _ = decide(parity, barrier=barrier, end=NOON, least=least)
    more = Parity(parity.both + 1, parity.only_http, parity.only_kafka, parity.dead_by_kafka)
    later = NOON if barrier is None else barrier + timedelta(seconds=1)

    after, _ = decide(more, barrier=later, end=NOON, least=least)

    assert after is before or before is Verdict.UNDECIDED


def test_reasons_say_what_is_missing_and_since_when() -> None:
    unsafe = decide(Parity(10, missing(3)), barrier=NOON, end=NOON, least=1)
    undecided = decide(Parity(10), barrier=NOON - timedelta(hours=1), end=NOON, least=20)

    assert unsafe[1][0].startswith("3 came by HTTP only")
    assert undecided[1] == (
        "no checkpoint since 2026-01-31 11:00:00Z has come by every partition",
        "too little traffic: 10 numbers were judged, 20 are wanted",
    )


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([], Verdict.UNDECIDED),
        ([Verdict.SAFE, Verdict.SAFE], Verdict.SAFE),
        ([Verdict.SAFE, Verdict.UNDECIDED], Verdict.UNDECIDED),
        ([Verdict.UNDECIDED, Verdict.UNSAFE], Verdict.UNSAFE),
    ],
)
def test_all_are_as_good_as_the_worst(verdicts: list[Verdict], whole: Verdict) -> None:
    assert together(verdicts) is whole


def test_percentile_is_the_bound_of_the_bucket_it_lies_in() -> None:
    counts_ = [50, 40, 9, *[0] * (len(DELAY_BOUNDS) - 3), 1]

    found = [percentile(counts_, DELAY_BOUNDS, share) for share in (0.5, 0.9, 0.99, 1.0)]

    assert found == [0.1, 0.25, 0.5, None]
    assert percentile([0] * len(counts_), DELAY_BOUNDS, 0.5) is None


@pytest.mark.parametrize(
    ("route", "copy"),
    [
        ("http", False),
        ("kafka/fleet/0", True),
        ("kafka/fleet/7", True),
        ("kafka/other/0", False),
        ("kafka", False),
    ],
)
def test_copy_is_what_came_by_a_way_of_copies_alone(route: str, copy: bool) -> None:
    fleet = Route(door="kafka", topic="fleet", partitions=2)
    shadow = Checkpoint(number=1, epochs=(), routes=(Route(door="http"),), copies=(fleet,))
    awaited = Checkpoint(number=1, epochs=(), routes=(Route(door="http"), fleet), copies=(fleet,))

    assert is_copy(shadow, route) is copy
    assert not is_copy(awaited, route)
