"""What all processes say now, and what changed since an earlier look. Pure.

Every question has three kinds of answers: a number, 0 where nothing happened, and None where no
process has such a metric.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ingress_runtime.status.quantiles import quantile
from ingress_runtime.status.reading import Labels, Reading


@dataclass(frozen=True, slots=True)
class Span:
    """Two readings of one process; without the earlier one, all since it started."""

    earlier: Reading | None
    later: Reading

    @property
    def seconds(self) -> float | None:
        """How long it is, None where the process does not say when it started."""
        begun = self.later.started if self.earlier is None else self.earlier.at
        length = None if begun is None else self.later.at - begun
        return length if length is not None and length > 0 else None

    @property
    def restarted(self) -> bool:
        """Whether the process is another one than before, so that it counts from 0."""
        return self.earlier is not None and self.earlier.started != self.later.started

    def increase(self, key: tuple[str, Labels]) -> float:
        """Return by how much a counter grew. One that fell began again from 0."""
        now = self.later.series[key]
        if self.earlier is None or self.restarted:
            return now
        before = self.earlier.series.get(key, 0.0)
        return now - before if now >= before else now


class Window:
    """The spans of all processes that answered; `now` is the wall clock, in seconds since 1970.

    `since_start` tells that it reaches back to where the processes started: what went wrong in it
    may be long over. Labels given by name must match; a sequence of names groups by their values.
    """

    def __init__(self, spans: Sequence[Span], now: float, *, since_start: bool = False) -> None:
        self.now = now
        self.since_start = since_start
        self._spans = tuple(spans)
        self._known = frozenset[str]().union(*(span.later.known for span in self._spans))
        self._keys: dict[str, list[tuple[Span, Labels]]] = defaultdict(list)
        for span in self._spans:
            for name, labels in span.later.series:
                self._keys[name].append((span, labels))

    @property
    def seconds(self) -> float | None:
        """Its length: that of the longest span."""
        return max((span.seconds for span in self._spans if span.seconds), default=None)

    def total(self, name: str, **labels: str) -> float | None:
        """Return the sum over all processes and the remaining labels, now."""
        values = (span.later.series[name, found] for span, found in self._found(name, labels))
        return self._sum(name, values)

    def most(self, name: str, **labels: str) -> float | None:
        """Return the greatest of all series, now: for what each process tells of the whole."""
        values = (span.later.series[name, found] for span, found in self._found(name, labels))
        return max((value for value in values if not math.isnan(value)), default=None)

    def totals(self, name: str, by: Sequence[str], **labels: str) -> dict[tuple[str, ...], float]:
        """Return sums by the values of the labels `by`, now."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for span, series in self._found(name, labels):
            found[_group(series, by)] += span.later.series[name, series]
        return dict(sorted(found.items()))

    def maxima(self, name: str, by: Sequence[str], **labels: str) -> dict[tuple[str, ...], float]:
        """Return the greatest by the values of the labels `by`, now."""
        found: dict[tuple[str, ...], float] = {}
        for span, series in self._found(name, labels):
            group, value = _group(series, by), span.later.series[name, series]
            found[group] = max(found.get(group, -math.inf), value)
        return dict(sorted(found.items()))

    def growth(self, name: str, **labels: str) -> float | None:
        """Return by how much a counter grew within the window."""
        grown = (span.increase((name, found)) for span, found in self._found(name, labels))
        return self._sum(name, grown)

    def rate(self, name: str, **labels: str) -> float | None:
        """Return by how much a counter grew each second."""
        rates = (_rate(span, (name, found)) for span, found in self._found(name, labels))
        return self._sum(name, rates)

    def rates(self, name: str, by: Sequence[str], **labels: str) -> dict[tuple[str, ...], float]:
        """Return rates by the values of the labels `by`."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for span, series in self._found(name, labels):
            found[_group(series, by)] += _rate(span, (name, series)) or 0.0
        return dict(sorted(found.items()))

    def quantile(self, q: float, name: str, **labels: str) -> float | None:
        """Return a quantile of what a histogram observed within the window; None if nothing."""
        buckets: dict[float, float] = defaultdict(float)
        bucket = f"{name}_bucket"
        for span, series in self._found(bucket, labels):
            buckets[float(dict(series)["le"])] += span.increase((bucket, series))
        return quantile(q, buckets)

    def mean(self, name: str, **labels: str) -> float | None:
        """Return the mean of what a histogram or summary observed; None if nothing."""
        number = self.growth(f"{name}_count", **labels)
        whole = self.growth(f"{name}_sum", **labels)
        return whole / number if number and whole is not None else None

    def values(self, name: str, label: str) -> list[str]:
        """Return the values that a label has, sorted."""
        return sorted({dict(labels).get(label, "") for _, labels in self._keys.get(name, ())})

    def state(self, name: str) -> set[str]:
        """Return the states that an Enum of this name is in, over all processes."""
        return {state for (state,), value in self.totals(name, (name,)).items() if value > 0}

    def _sum(self, name: str, values: Iterable[float | None]) -> float | None:
        """Return the sum; 0 where the metric is there without a series, None where it is not."""
        found = list(values)
        if not found and name.removesuffix("_total") in self._known:
            return 0.0
        numbers = [value for value in found if value is not None and not math.isnan(value)]
        return sum(numbers) if numbers else None

    def _found(self, name: str, labels: Mapping[str, str]) -> Iterator[tuple[Span, Labels]]:
        wanted = labels.items()
        for span, found in self._keys.get(name, ()):
            if wanted <= dict(found).items():
                yield span, found


def _rate(span: Span, key: tuple[str, Labels]) -> float | None:
    return None if span.seconds is None else span.increase(key) / span.seconds


def _group(labels: Labels, by: Sequence[str]) -> tuple[str, ...]:
    values = dict(labels)
    return tuple(values.get(name, "") for name in by)
