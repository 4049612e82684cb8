"""From which rate on an installation no longer keeps up. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Measured(Protocol):
    """A step at one rate, in messages a second; `p99` is the corrected latency in seconds."""

    @property
    def intended_rate(self) -> float:
        """What was to be sent."""

    @property
    def achieved_rate(self) -> float:
        """What came through."""

    @property
    def p99(self) -> float:
        """The latency that 99 of 100 messages did not exceed."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A step keeps up while it achieves `share` of its rate, and its p99 is at most `p99` seconds."""

    share: float = 0.95
    p99: float = 1.0


@dataclass(frozen=True, slots=True)
class Saturation:
    """Where it stopped keeping up: the step (from 0), its intended rate, and why.

    `sustained` is the intended rate of the step before it, None where the first was too much.
    """

    step: int
    rate: float
    reason: str
    sustained: float | None


def overload(step: Measured, bounds: Bounds) -> str | None:
    """Say why a step does not keep up, None if it does."""
    if step.achieved_rate < bounds.share * step.intended_rate:
        share = step.achieved_rate / step.intended_rate
        return (
            f"achieved {step.achieved_rate:,.0f} of {step.intended_rate:,.0f} messages/s "
            f"({share:.0%}, below {bounds.share:.0%})"
        )
    if step.p99 > bounds.p99:
        return f"p99 latency {step.p99:.3g} s, above {bounds.p99:g} s"
    return None


def saturation(steps: Sequence[Measured], bounds: Bounds) -> Saturation | None:
    """Return where the first step lies that does not keep up, None if all do."""
    for at, step in enumerate(steps):
        if (reason := overload(step, bounds)) is not None:
            sustained = steps[at - 1].intended_rate if at else None
            return Saturation(at, step.intended_rate, reason, sustained)
    return None
