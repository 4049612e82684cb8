"""Latencies by the million in a few kilobytes, as HdrHistogram keeps them. Pure."""

from collections import Counter
from math import ceil

_BITS = 11
_HALF = 1 << (_BITS - 1)
_MICROSECONDS = 1_000_000


class Histogram:
    """Counts durations in buckets whose width is below a thousandth of what they hold.

    Takes and gives seconds; the resolution is a microsecond. The maximum is exact.
    """

    def __init__(self) -> None:
        self.count = 0
        self.max = 0.0
        self._buckets: Counter[int] = Counter()

    def record(self, seconds: float, times: int = 1) -> None:
        """Count a duration; what is negative counts as 0."""
        seconds = max(0.0, seconds)
        self._buckets[_bucket(round(seconds * _MICROSECONDS))] += times
        self.count += times
        self.max = max(self.max, seconds)

    def percentile(self, percent: float) -> float:
        """Return the duration that `percent` of all do not exceed, 0 where there are none.

        Never less than the true one, and more by less than a thousandth.
        """
        rank = max(1, ceil(self.count * percent / 100))
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return min(_upper(bucket) / _MICROSECONDS, self.max)
        return 0.0


def _bucket(microseconds: int) -> int:
    """Return where a number belongs: its first bits, and how many it has beyond them."""
    shift = max(0, microseconds.bit_length() - _BITS)
    return shift << _BITS | microseconds >> shift


def _upper(bucket: int) -> int:
    """Return the greatest number of a bucket."""
    shift, first = bucket >> _BITS, bucket & (2 * _HALF - 1)
    return (first + 1 << shift) - 1
