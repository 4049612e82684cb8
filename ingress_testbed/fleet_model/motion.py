"""How a bus moves along its legs, a second at a time."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from ingress_testbed.fleet_model.chance import Dice
from ingress_testbed.fleet_model.places import Leg, Point

_CREEPING = 0.8  # m/s: slower than that, the next second ends at the stop
_MOTOR_WATTS = 165_000.0
_GRAVITY, _ROLLING = 9.81, 0.008
_DRAG = 3.4  # N at 1 m/s: half of density x coefficient x front
_EFFICIENCY = 0.9
_REGAINED = 0.6  # of the braking power


@dataclass(frozen=True, slots=True)
class Body:
    """What stays the same of a bus: kg, m/s² when pulling away, m/s² when braking."""

    mass: float
    pull: float
    brake: float


class Motion:
    """Where a bus is and how fast: `speed` in m/s, `odometer` in km."""

    def __init__(self, body: Body, place: Point, odometer: float) -> None:
        self.place = place
        self.odometer = odometer
        self.speed = 0.0
        self._body = body
        self._acceleration = 0.0
        self._legs: deque[Leg] = deque()
        self._done = 0.0
        self._dwell = 0

    @property
    def arrived(self) -> bool:
        """Whether it stands at the end of the last leg."""
        return not self._legs

    def set_out(self, legs: Sequence[Leg]) -> None:
        """Drive `legs`, which begin where the bus stands."""
        self._legs.extend(legs)

    def step(self, dice: Dice) -> None:
        """Let a second pass."""
        if self._dwell > 0 or not self._legs:
            self._dwell -= 1
            self._acceleration = 0.0
            return
        leg = self._legs[0]
        remaining = leg.length - self._done
        speed = self._next_speed(leg, remaining, dice)
        if speed < _CREEPING and self.speed >= speed:
            speed, distance = 0.0, remaining
        else:
            distance = (self.speed + speed) / 2
        self._acceleration = speed - self.speed
        self.speed = speed
        self.odometer += distance / 1_000
        self._done += distance
        self.place = leg.start.beyond(self._done, leg.direction)
        if speed == 0:
            self._stop(leg)

    def traction(self) -> float:
        """Return the kW that the motor takes now, or gives back; 0 where the bus stands."""
        mass, speed = self._body.mass, self.speed
        force = mass * (_GRAVITY * _ROLLING + self._acceleration) + _DRAG * speed * speed
        watts = force * speed
        return (watts / _EFFICIENCY if watts > 0 else watts * _REGAINED) / 1_000

    def _next_speed(self, leg: Leg, remaining: float, dice: Dice) -> float:
        """Return the least of what the motor, the road, and the way left to brake in allow."""
        pull = min(self._body.pull, _MOTOR_WATTS / (self._body.mass * max(self.speed, 1.0)))
        cruise = leg.cruise + dice.between(-0.08, 0.08)
        brake = self._body.brake
        free = max(0.0, remaining - self.speed / 2)
        stopping = brake * (sqrt(0.25 + 2 * free / brake) - 0.5)
        return min(self.speed + pull, cruise, stopping)

    def _stop(self, leg: Leg) -> None:
        self._legs.popleft()
        self._done = 0.0
        self._dwell = leg.dwell if self._legs else 0
        self.place = leg.end
