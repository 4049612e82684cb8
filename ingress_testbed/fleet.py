"""A fleet's day that looks like the recordings, and hangs together as they do.

Physical: energy integrates power, the odometer integrates speed, the state of charge follows the
energy, current and voltage make the power, and buses are charged in depots, standing. Beside that
it has the recordings' rates, repeats, silences and glitches. The same plan gives the same frames
on every machine: see Dice for chance, and the arithmetic is IEEE 754 with nothing beyond roots.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from ingress_testbed.fleet_model.bus import Bus
from ingress_testbed.recordings import Frame

START = 1_736_132_400_000
"""2025-01-06T03:00:00Z in epoch ms: when each recorded day begins."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What to record: how many vehicles, for how long, and the seed of all chance."""

    vehicles: int = 20
    hours: float = 24.0
    seed: int = 1


def fleet_frames(plan: FleetPlan) -> Iterator[Frame]:
    """Yield the frames of all vehicles in the order of their time.

    No two frames of a vehicle share time and label.
    """
    vehicles = [
        Bus(f"bus-{number:04}", f"{plan.seed}:{number}", START, plan.hours).frames()
        for number in range(1, plan.vehicles + 1)
    ]
    return heapq.merge(*vehicles, key=lambda frame: frame.time)
