"""What a Prometheus that has scraped a run can answer: every panel, every ingredient of an alert.

An alert's own expression is empty while all is well, so what is asked for are the series that it reads.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ingress_testbed.metrics_document import Definition
from ingress_testbed.observability.boards import Board
from ingress_testbed.observability.prometheus import VARIABLES, Answers, Window
from ingress_testbed.observability.promql import selectors, substituted
from ingress_testbed.observability.rules import Rule

QUIET: Mapping[str, str] = {
    r"redpanda_\w+": "the demo's broker is not Redpanda",
    r'ALERTS\{alertstate="firing"\}': "nothing has to fire",
    r"core_consumer_held_seconds_total\{?.*> 0": "a database that is well holds nothing up",
    r'core_api_request_seconds_count\{.*status=~"(429\|503|5\.\.)".*\}': "nothing is refused, or fails",
    r"core_ingest_dead_letters_total": "the simulated fleet sends nothing that core cannot use",
    r"publisher_records_undeliverable_total": "nothing is refused for itself",
}
"""Patterns of what may be empty in a good run of a minute, and why. All else must have data."""

_OURS = re.compile(r"(publisher|core_api|core_consumer|core_ingest|kafka|ingress)_\w+")

UNSERVED: Mapping[str, str] = {
    "ingress_spans_ended_total": "tracing is off",
    "ingress_spans_exported_total": "tracing is off",
}
"""Metrics that no process of the demo serves, and why."""


@dataclass(frozen=True, slots=True)
class Empty:
    """A place that asks for something, and gets nothing."""

    place: str
    expr: str

    @property
    def reason(self) -> str | None:
        """Why that is right, if it is."""
        found = (why for pattern, why in QUIET.items() if re.search(pattern, self.expr))
        return next(found, None)


def empty(
    answers: Answers, window: Window, boards: Sequence[Board], rules: Sequence[Rule]
) -> list[Empty]:
    """Return every query of a panel, and every series that a rule reads, without data in the window."""
    asked = list(dict.fromkeys(_asked(boards, rules)))
    return [one for one in asked if not answers.over(substituted(one.expr, VARIABLES), window)]


def _asked(boards: Sequence[Board], rules: Sequence[Rule]) -> Iterator[Empty]:
    for board in boards:
        for panel in board.data_panels:
            for target in panel.targets:
                yield Empty(f"panel {board.title} / {panel.title}", target.expr)
    for rule in rules:
        for selector in selectors(rule.expr):
            yield Empty(f"rule {rule.name}", selector.text)


def strangers(families: frozenset[str], definitions: Sequence[Definition]) -> list[str]:
    """Return the metrics of ours that were served and are not defined, or defined and not served.

    `families` are names as Prometheus has them from its targets: a counter's without `_total`, where
    they were asked for as OpenMetrics.
    """
    served = {_family(name) for name in families if _OURS.fullmatch(name)}
    defined = {_family(one.name): one.name for one in definitions}
    return [
        *(f"{name} is served and not defined" for name in sorted(served - defined.keys())),
        *(
            f"{defined[name]} is defined and not served"
            for name in sorted(defined.keys() - served)
            if defined[name] not in UNSERVED
        ),
    ]


def _family(name: str) -> str:
    return name.removesuffix("_total")
