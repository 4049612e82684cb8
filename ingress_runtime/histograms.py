"""Histograms that take a batch at a time: counted here, and told to prometheus_client once."""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import cached_property

import prometheus_client


class Histogram(prometheus_client.Histogram):
    """prometheus_client's histogram of seconds, which takes batches of microseconds too.

    One observation for each message would cost more than a hundredth of all that core does for it.
    Time that ran backwards, between two clocks, counts as none.
    """

    @cached_property
    def _micros(self) -> Sequence[float]:
        return [bound * 1e6 for bound in self._upper_bounds]

    def observe_all(self, micros: Collection[int]) -> None:
        """Observe each of these durations (µs)."""
        self.observe_since(sorted([-one for one in micros]), 0)

    def observe_many(self, micros: int, times: int) -> None:
        """Observe one duration (µs) so many times."""
        counts = [0] * len(self._micros)
        counts[bisect_left(self._micros, micros)] = times
        self._add(counts, micros * times)

    def observe_since(self, instants: Sequence[int], now: int) -> None:
        """Observe how long ago each instant (µs, rising) is: a search a bucket, none a message."""
        counts, rest = [], len(instants)
        for bound in self._micros:
            older = bisect_left(instants, now - bound)
            counts.append(rest - older)
            rest = older
        self._add(counts, len(instants) * now - sum(instants))

    def _add(self, counts: Sequence[int], micros: int) -> None:
        self._sum.inc(max(0, micros) / 1e6)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
