"""Counters of time in which something was held up, and why; what still goes on is counted too.

prometheus_client's counters know what was added to them, and a hold would be added at its end: an
outage of an hour would show when it is over.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, Metric

Labels = tuple[str, ...]
Clock = Callable[[], float]
"""Returns seconds that never run backwards."""


class HeldSeconds:
    """A counter of seconds, by labels. It begins at 0 for each of `known`.

    Several holds may go on at a time, and count each. Safe to be scraped by another thread.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        known: Iterable[Labels] = (),
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._lock = Lock()
        self._over: dict[Labels, float] = dict.fromkeys(known if labels else [()], 0.0)
        self._lasting: dict[Hold, Labels] = {}
        registry.register(self)

    def hold(self, clock: Clock, *, allowed: float = 0.0) -> "Hold":
        """Return what follows one thing by `clock`; so many seconds of each hold do not count."""
        return Hold(self, clock, allowed)

    def describe(self) -> Iterable[Metric]:
        """Return the metric without values."""
        return [CounterMetricFamily(self._name, self._text, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        """Return the metric as it stands now."""
        with self._lock:
            sums = dict(self._over)
            for hold, labels in self._lasting.items():
                sums[labels] = sums.get(labels, 0.0) + hold.seconds
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, seconds in sums.items():
            family.add_metric(labels, seconds)
        return [family]

    def begin(self, hold: "Hold", labels: Labels) -> None:
        """Count `hold` under `labels` from now on; for `hold` itself."""
        with self._lock:
            self._close(hold)
            self._lasting[hold] = labels
            hold.since = hold.clock()

    def end(self, hold: "Hold") -> None:
        """Count `hold` no longer; for `hold` itself."""
        with self._lock:
            self._close(hold)

    def _close(self, hold: "Hold") -> None:
        if (labels := self._lasting.pop(hold, None)) is not None:
            self._over[labels] = self._over.get(labels, 0.0) + hold.seconds


class Hold:
    """One thing that is held up now and then, for one reason at a time. Made by `HeldSeconds.hold`."""

    def __init__(self, counter: HeldSeconds, clock: Clock, allowed: float) -> None:
        self.clock = clock
        self.since = 0.0
        self._counter = counter
        self._allowed = allowed
        self._labels: Labels | None = None

    @property
    def seconds(self) -> float:
        """What counts of the time since it began."""
        return max(0.0, self.clock() - self.since - self._allowed)

    @property
    def lasts(self) -> bool:
        """Whether it goes on."""
        return self._labels is not None

    def begin(self, *labels: str) -> None:
        """Be held up from now on; under other labels than so far, for another reason."""
        if labels != self._labels:
            self._labels = labels
            self._counter.begin(self, labels)

    def again(self) -> None:
        """Count what has gone by, and begin anew under the same labels."""
        if self._labels is not None:
            self._counter.begin(self, self._labels)

    def end(self) -> None:
        """Be held up no longer. Safe to call again."""
        if self._labels is not None:
            self._labels = None
            self._counter.end(self)

    @contextmanager
    def lasting(self, *labels: str) -> Iterator[None]:
        """Be held up for as long as the context lasts."""
        self.begin(*labels)
        try:
            yield
        finally:
            self.end()
