import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_consumer.positions import Lag, Positions, Start

PLACE = ("telematics.ingress", 0)
OTHER = ("telematics.ingress", 1)


@pytest.fixture
def positions() -> Positions:
    standing = Positions()
    standing.assign({PLACE: 100, OTHER: None})
    return standing


def test_what_follows_the_committed_offset_is_expected(positions: Positions) -> None:
    assert positions.judge(PLACE, 100) is Start.EXPECTED
    positions.receive(PLACE, 100, 150)
    assert positions.judge(PLACE, 150) is Start.EXPECTED


def test_a_partition_without_committed_offset_begins_anywhere(positions: Positions) -> None:
    assert positions.judge(OTHER, 7_000) is Start.EXPECTED


def test_a_gap_is_asked_for_once_more_before_it_is_passed(positions: Positions) -> None:
    assert positions.judge(PLACE, 120) is Start.GAP
    assert positions.ask(PLACE) == 100
    assert positions.judge(PLACE, 120) is Start.SKIPPED
    positions.receive(PLACE, 120, 130)
    assert positions.judge(PLACE, 140) is Start.GAP


def test_what_comes_before_the_expected_offset_means_another_partition(
    positions: Positions,
) -> None:
    assert positions.judge(PLACE, 0) is Start.BACK


def test_rewinding_seeks_what_is_ours_and_never_forward(positions: Positions) -> None:
    positions.receive(PLACE, 100, 200)
    positions.receive(PLACE, 200, 300)

    assert positions.rewind({PLACE: 100, ("another", 0): 5}) == {PLACE: 100}
    assert positions.rewind({PLACE: 200}) == {}
    assert positions.judge(PLACE, 100) is Start.EXPECTED


def test_an_end_that_moved_back_is_told_once(positions: Positions) -> None:
    assert positions.look({PLACE: 500}) == []
    assert positions.look({PLACE: 500}) == []
    assert positions.look({PLACE: 20}) == [PLACE]
    assert positions.look({PLACE: 21}) == []


def test_lag_is_what_is_not_acknowledged_and_the_age_of_its_oldest(positions: Positions) -> None:
    positions.look({PLACE: 160, OTHER: 0})
    positions.receive(PLACE, 100, 150)
    positions.begin({PLACE: 10_000})

    assert positions.lags(12_500) == {PLACE: Lag(60, 2.5), OTHER: Lag(0, 0.0)}
    positions.commit({PLACE: 150})
    assert positions.lags(13_000)[PLACE] == Lag(10, 0.0)
    assert positions.lags(15_000)[PLACE] == Lag(10, 2.0)
    positions.commit({PLACE: 160})
    assert positions.lags(16_000)[PLACE] == Lag(0, 0.0)


def test_lag_is_never_less_than_nothing(positions: Positions) -> None:
    positions.look({PLACE: 90})  # some brokers report an end that was true a batch ago
    positions.begin({PLACE: 10_000})

    assert positions.lags(9_000)[PLACE] == Lag(0, 0.0)


def test_a_new_assignment_forgets_the_old_one(positions: Positions) -> None:
    positions.receive(PLACE, 100, 200)
    positions.assign({OTHER: 5})

    assert positions.places == [OTHER]
    assert positions.rewind({PLACE: 100}) == {}


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=30))
def test_whatever_fails_what_is_read_next_is_never_past_what_is_not_stored(
    history: list[tuple[int, bool]],
) -> None:
    """Two batches at a time, as the pipeline has them: one in work, the next one received."""
    positions = Positions()
    positions.assign({PLACE: 0})
    stored = 0
    at = 0
    for size, fails in history:
        first, following, after = at, at + size, at + size + 1
        positions.receive(PLACE, first, following)
        positions.receive(PLACE, following, after)  # the next one, read meanwhile
        if fails:
            positions.rewind({PLACE: first})
            positions.rewind({PLACE: following})
            assert positions.judge(PLACE, stored) is Start.EXPECTED
        else:
            stored = at = after
            positions.commit({PLACE: stored})
            assert positions.judge(PLACE, stored) is Start.EXPECTED
