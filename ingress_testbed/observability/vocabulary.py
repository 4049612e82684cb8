"""The series that exist: what our code defines, what rules record, and a few of others.

A name outside of it is a misspelling, or a metric that was renamed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ingress_testbed.metrics_document import Definition
from ingress_testbed.observability.promql import selectors
from ingress_testbed.observability.rules import Rule

OF_TARGETS = frozenset({"job", "instance"})
"""Labels that Prometheus gives to whatever it scrapes."""

OTHERS: Mapping[str, frozenset[str] | None] = {
    "up": frozenset(),
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
    "process_[a-z_]+": frozenset(),
    "redpanda_[a-z_]+": None,
    "vectorized_[a-z_]+": None,
    "prometheus_[a-z_]+": None,
}
"""Series that others make, as patterns, with their labels; None: any label."""


@dataclass(frozen=True, slots=True)
class Series:
    """A name that may be asked for. `labels` None: any. `bounds` are the values that `le` may have.

    `kind` is counter, gauge or histogram (its buckets, sum and count are counters), or empty.
    `states` are all values of the label of a state set's own name. `definition` is ours, if it is.
    """

    labels: frozenset[str] | None
    kind: str = ""
    bounds: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All series, by name."""

    known: Mapping[str, Series]
    _patterns: Mapping[re.Pattern[str], Series] = field(
        default_factory=lambda: {
            re.compile(name): Series(labels) for name, labels in OTHERS.items()
        }
    )

    def find(self, name: str) -> Series | None:
        """Return the series, or None if there is none of this name."""
        if (found := self.known.get(name)) is not None:
            return found
        return next((one for name_, one in self._patterns.items() if name_.fullmatch(name)), None)


def vocabulary(definitions: Iterable[Definition], rules: Iterable[Rule]) -> Vocabulary:
    """Return what exists by these definitions and rules."""
    known = {name: series for definition in definitions for name, series in _of(definition).items()}
    for rule in rules:
        if rule.records:
            grouped = frozenset().union(*(one.grouped for one in selectors(rule.expr)))
            known[rule.name] = Series(grouped - {"le"})
    return Vocabulary(known)


def _of(one: Definition) -> Mapping[str, Series]:
    labels = frozenset(one.labels)
    if one.kind == "histogram":
        bounds = frozenset({*(repr(float(bound)) for bound in one.buckets), "+Inf"})
        plain = Series(labels, "counter", definition=one.name)
        return {
            f"{one.name}_bucket": Series(labels | {"le"}, "counter", bounds, definition=one.name),
            f"{one.name}_sum": plain,
            f"{one.name}_count": plain,
        }
    states = frozenset(one.values.get(one.name, ()))
    return {one.name: Series(labels, one.kind, states=states, definition=one.name)}
