from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress_testbed.load.histogram import Histogram


def histogram(durations: list[float]) -> Histogram:
    made = Histogram()
    for each in durations:
        made.record(each)
    return made


@given(
    st.lists(st.floats(0, 10_000), min_size=1, max_size=200),
    st.sampled_from([50, 90, 99, 99.9, 100]),
)
def test_percentile_is_the_true_one_or_less_than_a_thousandth_above(
    durations: list[float], percent: float
) -> None:
    true = sorted(durations)[max(1, ceil(len(durations) * percent / 100)) - 1]

    found = histogram(durations).percentile(percent)

    assert true - 1e-6 <= found <= true * 1.001 + 1e-6


def test_maximum_is_exact() -> None:
    made = histogram([0.1, 12.3456789])

    assert made.max == 12.3456789
    assert made.percentile(100) == pytest.approx(12.3456789, abs=1e-6)


def test_one_in_a_hundred_shows_above_the_99th_percentile_only() -> None:
    made = Histogram()
    made.record(0.001, 99)
    made.record(5.0)

    assert made.percentile(99) == pytest.approx(0.001)
    assert made.percentile(99.9) == pytest.approx(5.0, rel=1e-3)


def test_empty_histogram_has_no_percentiles() -> None:
    assert (Histogram().percentile(99), Histogram().max, Histogram().count) == (0.0, 0.0, 0)


def test_durations_below_zero_count_as_none() -> None:
    assert histogram([-0.5]).percentile(50) == 0.0


def test_many_different_durations_take_few_buckets() -> None:
    made = histogram([number / 1_000 for number in range(100_000)])

    assert made.count == 100_000
    assert len(made._buckets) < 20_000
