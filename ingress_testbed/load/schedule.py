"""When each vehicle reports, decided before the first message is sent. Pure."""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_MICROSECONDS = 1_000_000
_JITTER = 0.1
"""How far from its time a report may be, either way, as a part of the interval."""


@dataclass(frozen=True, slots=True)
class Plan:
    """So many vehicles for `duration` seconds, each reporting every `interval` seconds.

    Interval and duration are positive. Equal seeds give equal schedules.
    """

    vehicles: int
    interval: float
    duration: float
    seed: int = 1

    @property
    def rate(self) -> float:
        """The intended messages a second."""
        return self.vehicles / self.interval


class Due(NamedTuple):
    """A report: seconds from the start, of which vehicle (from 0), and its how manieth (from 0)."""

    at: float
    vehicle: int
    number: int


def schedule(plan: Plan) -> Iterator[Due]:
    """Yield every report in the order of its time.

    A vehicle has a phase of its own within the interval, and each report is up to a tenth of the
    interval early or late. So a vehicle makes one report for each of its ticks before the end.
    """
    interval, duration = _units(plan)
    dice = random.Random(f"jitter:{plan.seed}").uniform
    reach = interval * _JITTER

    def due(tick: int) -> int:
        return min(max(0, round(tick + dice(-reach, reach))), duration - 1)

    waiting = [
        (due(phase), vehicle, 0, phase)
        for vehicle, phase in enumerate(_phases(plan, interval))
        if phase < duration
    ]
    heapq.heapify(waiting)
    while waiting:
        at, vehicle, number, tick = waiting[0]
        yield Due(at / _MICROSECONDS, vehicle, number)
        tick += interval
        if tick < duration:
            heapq.heapreplace(waiting, (due(tick), vehicle, number + 1, tick))
        else:
            heapq.heappop(waiting)


def total(plan: Plan) -> int:
    """Return how many reports the schedule has."""
    interval, duration = _units(plan)
    return sum(max(0, -(-(duration - phase) // interval)) for phase in _phases(plan, interval))


def _phases(plan: Plan, interval: int) -> Iterator[int]:
    dice = random.Random(f"phase:{plan.seed}").randrange
    return (dice(interval) for _ in range(plan.vehicles))


def _units(plan: Plan) -> tuple[int, int]:
    return round(plan.interval * _MICROSECONDS), round(plan.duration * _MICROSECONDS)
