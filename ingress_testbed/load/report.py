"""What a load found out, step by step, and as one JSON object. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ingress_testbed.load.accounts import Settlement
from ingress_testbed.load.engine import Tally
from ingress_testbed.load.histogram import Histogram
from ingress_testbed.load.saturation import Bounds, Saturation, saturation
from ingress_testbed.load.schedule import Plan

PERCENTS = (50, 90, 99, 99.9)
_DELAY = 1.0
"""Seconds after a step's end that are taken for delay: a queue is late without being too slow."""

_TOO_LATE = 0.1  # seconds; a generator that notices its messages so late is busy itself


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step: what was planned, what became of it, and what core says of it where it was asked.

    `closed` tells whether core has the closing checkpoint, without which its account is not final.
    """

    plan: Plan
    tally: Tally
    settlement: Settlement | None
    closed: bool

    @property
    def intended_rate(self) -> float:
        """Messages a second that were due; of a step that was cut short, until then."""
        return self.tally.due / self.seconds if self.tally.due else 0.0

    @property
    def seconds(self) -> float:
        """How long messages fell due: the plan's duration, unless the step was cut short."""
        cut = self.tally.cut_short and self.tally.scheduled_seconds
        return cut or self.plan.duration

    @property
    def achieved_rate(self) -> float:
        """What came through, in messages a second: acknowledged, and settled where core was asked."""
        settled = self.settled_rate
        return self.acknowledged_rate if settled is None else min(self.acknowledged_rate, settled)

    @property
    def acknowledged_rate(self) -> float:
        """Acknowledged messages a second, up to the last acknowledgement. See `_rate`."""
        return self._rate(self.tally.acknowledged, self.tally.last_acknowledged)

    @property
    def settled_rate(self) -> float | None:
        """Messages a second that core settled, up to the last; None if not told. See `_rate`."""
        told = self.settlement
        if told is None:
            return None
        return self._rate(told.arrived, self.tally.last_acknowledged + told.seconds)

    def _rate(self, messages: int, end: float) -> float:
        """Return messages a second until `end`, of which a second of delay is forgiven."""
        return messages / max(self.seconds, end - _DELAY)

    @property
    def p99(self) -> float:
        """The corrected latency that 99 of 100 acknowledged messages did not exceed, in seconds."""
        return self.tally.corrected.percentile(99)

    @property
    def exact(self) -> bool:
        """Whether core's account has each number once; True where it was not asked."""
        return self.settlement is None or self.settlement.exact(self.tally.numbered)

    @property
    def busy_generator(self) -> bool:
        """Whether the generator noticed its own messages too late: it is at its limit then."""
        return self.tally.lateness.percentile(99) > _TOO_LATE

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it: seconds, messages, messages a second."""
        tally, told = self.tally, self.settlement
        return {
            "vehicles": self.plan.vehicles,
            "interval_seconds": self.plan.interval,
            "seconds": _rounded(self.seconds),
            "intended": tally.due,
            "not_sent": tally.not_sent,
            "sent": tally.numbered,
            "acknowledged": tally.acknowledged,
            "given_up": len(tally.given_up),
            "intended_rate": _rounded(self.intended_rate),
            "acknowledged_rate": _rounded(self.acknowledged_rate),
            "settled_rate": _rounded(self.settled_rate),
            "achieved_rate": _rounded(self.achieved_rate),
            "latency_seconds": percentiles(tally.corrected),
            "uncorrected_latency_seconds": percentiles(tally.uncorrected),
            "generator_lateness_seconds": percentiles(tally.lateness),
            "outcomes": dict(sorted(tally.outcomes.items())),
            "errors": dict(sorted(tally.errors.items())),
            "closing_checkpoint": self.closed,
            "accounting": None if told is None else dict(told.terms),
            "settled_after_seconds": _rounded(told.seconds) if told and told.settled else None,
            "exact": None if told is None else self.exact,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run; `target` is where it went, without secrets."""

    transport: str
    target: str
    steps: Sequence[StepReport]
    bounds: Bounds
    interrupted: bool

    @property
    def saturation(self) -> Saturation | None:
        """Where the installation stopped keeping up; a step that was cut short tells nothing."""
        return saturation(self.steps[:-1] if self.interrupted else self.steps, self.bounds)

    @property
    def good(self) -> bool:
        """Whether something came through, and all that core was asked about is accounted for."""
        return all(one.exact for one in self.steps) and any(
            one.tally.acknowledged for one in self.steps
        )

    def to_json(self) -> str:
        """Return it on one line."""
        found = self.saturation
        document = {
            "transport": self.transport,
            "target": self.target,
            "interrupted": self.interrupted,
            "bounds": asdict(self.bounds),
            "saturation": None if found is None else asdict(found),
            "steps": [one.document() for one in self.steps],
        }
        return json.dumps(document)


def percentiles(histogram: Histogram) -> Mapping[str, float | None]:
    """Return the percentiles of a histogram, in seconds, and its maximum."""
    found = {f"p{percent:g}": _rounded(histogram.percentile(percent)) for percent in PERCENTS}
    return found | {"max": _rounded(histogram.max)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
