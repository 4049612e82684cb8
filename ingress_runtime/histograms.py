"""Histograms that take a batch at a time: counted here, and told to prometheus_client once."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cached_property

import prometheus_client


class Histogram(prometheus_client.Histogram):
    """prometheus_client's histogram of seconds, which takes batches of microseconds too.

    One observation for each message would cost more than a hundredth of all that core does for it.
    Time that ran backwards, between two clocks, counts as none.
    """

    @cached_property
    def _micros(self) -> Sequence[int]:
        """The upper bounds in µs, without the last, which is infinite."""
        return [round(bound * 1e6) for bound in self._upper_bounds[:-1]]

    def observe_all(self, micros: Iterable[int], each: int = 1) -> None:
        """Observe each of these durations (µs); each stands for so many."""
        self.observe_since(sorted([-one for one in micros]), 0, each)

    def observe_many(self, micros: int, times: int) -> None:
        """Observe one duration (µs) so many times."""
        self._buckets[bisect_left(self._micros, micros)].inc(times)
        self._sum.inc(max(0, micros) * times / 1e6)

    def observe_since(self, instants: Sequence[int], now: int, each: int = 1) -> None:
        """Observe how long ago each instant (µs, rising) is: a search a bucket, none a message.

        Each stands for so many.
        """
        rest = len(instants)
        for bound, bucket in zip(self._micros, self._buckets, strict=False):
            older = bisect_left(instants, now - bound)
            if older < rest:
                bucket.inc((rest - older) * each)
                rest = older
                if not rest:
                    break
        if rest:
            self._buckets[-1].inc(rest * each)
        self._sum.inc(max(0, len(instants) * now - sum(instants)) * each / 1e6)
