import math

import pytest

from ingress_runtime.status.quantiles import quantile

# Cumulative counts by upper bound; answers as Prometheus' histogram_quantile gives them.
SPREAD = {0.1: 10.0, 0.5: 30.0, 1.0: 40.0, math.inf: 40.0}


@pytest.mark.parametrize(
    ("q", "buckets", "expected"),
    [
        (0.5, SPREAD, 0.3),  # rank 20: half of the bucket from 0.1 to 0.5
        (0.25, SPREAD, 0.1),  # rank 10: exactly the end of the first bucket
        (0.125, SPREAD, 0.05),  # the first bucket begins at 0
        (0.99, SPREAD, 0.98),
        (1.0, SPREAD, 1.0),
        (0.0, SPREAD, 0.0),
        (0.5, {1.0: 0.0, 2.0: 4.0, math.inf: 4.0}, 1.5),  # an empty bucket below
        (0.0, {1.0: 0.0, 2.0: 4.0, math.inf: 4.0}, 1.0),
        (0.9, {1.0: 1.0, 2.0: 2.0, math.inf: 10.0}, 2.0),  # beyond the last bound nothing is known
        (0.5, {-1.0: 5.0, 1.0: 5.0, math.inf: 5.0}, -1.0),  # a lowest bound that is not positive
        (0.5, {1.0: 5.0, 2.0: 4.0, 3.0: 8.0, math.inf: 8.0}, 0.8),  # counts that fell by a race
    ],
)
def test_a_quantile_is_what_prometheus_computes(
    q: float, buckets: dict[float, float], expected: float
) -> None:
    assert quantile(q, buckets) == pytest.approx(expected)


@pytest.mark.parametrize(
    "buckets",
    [
        {},
        {1.0: 0.0, math.inf: 0.0},
        {1.0: 3.0},  # without infinity it is no histogram
        {math.inf: 3.0},  # nothing is known of any value
    ],
)
def test_without_observations_or_bounds_there_is_no_quantile(buckets: dict[float, float]) -> None:
    assert quantile(0.5, buckets) is None
