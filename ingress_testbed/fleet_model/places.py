"""Depots, and the routes that begin at them: straight legs with a stop at the end of each."""

from dataclasses import dataclass
from typing import NamedTuple

from ingress_testbed.fleet_model.chance import Dice

_METRES_A_DEGREE = (111_320.0, 68_500.0)
"""Of latitude, and of longitude in Utrecht."""
_DIRECTIONS = ((1.0, 0.0), (0.8, 0.6), (0.6, -0.8), (0.0, -1.0), (-0.8, -0.6), (-0.6, 0.8))
_STARTING_AND_STOPPING = 15.0


class Point(NamedTuple):
    """Degrees, WGS 84."""

    latitude: float
    longitude: float

    def beyond(self, metres: float, direction: tuple[float, float]) -> "Point":
        """Return the point so many metres away; `direction` is north and east, of length 1."""
        north, east = direction
        return Point(
            self.latitude + north * metres / _METRES_A_DEGREE[0],
            self.longitude + east * metres / _METRES_A_DEGREE[1],
        )


@dataclass(frozen=True, slots=True)
class Depot:
    """Where buses are parked and charged, with up to `charger` kW."""

    place: Point
    charger: float


DEPOTS = (
    Depot(Point(52.0907, 5.1214), 226.0),
    Depot(Point(52.0752, 5.0846), 180.0),
    Depot(Point(52.1135, 5.0967), 150.0),
)


@dataclass(frozen=True, slots=True)
class Leg:
    """From one stop to the next: metres, m/s while nothing is in the way, seconds at its end."""

    start: Point
    direction: tuple[float, float]
    length: float
    cruise: float
    dwell: int

    @property
    def end(self) -> Point:
        """Where the stop is."""
        return self.start.beyond(self.length, self.direction)

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return self.length / self.cruise + _STARTING_AND_STOPPING + self.dwell

    def back(self) -> "Leg":
        """Return the same leg the other way."""
        north, east = self.direction
        return Leg(self.end, (-north, -east), self.length, self.cruise, self.dwell)


@dataclass(frozen=True, slots=True)
class Route:
    """A road from a depot to a terminus, and back."""

    outward: tuple[Leg, ...]
    inward: tuple[Leg, ...]

    @property
    def seconds(self) -> float:
        """About how long one way takes."""
        return sum(leg.seconds for leg in self.outward)


def route_from(depot: Depot, seconds: float, dice: Dice) -> Route:
    """Lay a route from `depot` that takes at least `seconds` one way."""
    legs: list[Leg] = []
    place, needed = depot.place, seconds
    while needed > 0 or not legs:
        leg = Leg(
            start=place,
            direction=_DIRECTIONS[dice.below(len(_DIRECTIONS))],
            length=dice.between(150, 900),
            cruise=dice.between(15, 60) / 3.6,
            dwell=8 + dice.below(18),
        )
        legs.append(leg)
        place, needed = leg.end, needed - leg.seconds
    return Route(tuple(legs), tuple(leg.back() for leg in reversed(legs)))
