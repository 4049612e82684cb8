"""Quantiles of histograms, as Prometheus' `histogram_quantile` computes them. Pure."""

import math
from collections.abc import Mapping


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """Return the quantile `q` (0 to 1) of cumulative counts by upper bound; None if there are none.

    Within a bucket values count as spread evenly, and the lowest begins at 0. Beyond the greatest
    finite bound nothing is known, so that bound is returned. Without a bucket of infinity there is
    no answer.
    """
    bounds = sorted(buckets)
    if not bounds or not math.isinf(bounds[-1]):
        return None
    counts = _rising([buckets[bound] for bound in bounds])
    if not counts[-1] or len(bounds) == 1:
        return None
    rank = q * counts[-1]
    place = next(i for i, count in enumerate(counts) if count >= rank and count > 0)
    if place == len(bounds) - 1:
        return bounds[-2]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    start = bounds[place - 1] if place else 0.0
    below = counts[place - 1] if place else 0.0
    return start + (bounds[place] - start) * (rank - below) / (counts[place] - below)


def _rising(counts: list[float]) -> list[float]:
    """Return counts that never fall: two scrapes of a busy process may differ by an observation."""
    for place in range(1, len(counts)):
        counts[place] = max(counts[place], counts[place - 1])
    return counts
