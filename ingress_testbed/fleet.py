"""A fleet's day that looks like the recordings: their rates, repeats, silences and glitches.

Statistical, not physical: values move plausibly and sum up, no more. The same plan gives the same
frames on every machine: the only source of chance is `Random.random`, whose sequence Python keeps
stable between versions, and the arithmetic is IEEE 754 without transcendental functions.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from ingress_testbed.recordings import Frame

START = 1_736_132_400_000
"""2025-01-06T03:00:00Z in epoch ms: when each recorded day begins."""

_HOUR = 3_600_000
_AWAKE_AFTER = 2_000
_RESTING_VOLTAGE = 664.8
_WAKING_VOLTAGES = ((0, "664.8"), (450, "0"), (900, "661.2"))
_OHMS = 0.11
_USABLE_KWH = 200.0
_CHARGED_IN_A_MINUTE = 1.0
_METRES_A_DEGREE = (111_320.0, 68_500.0)
_HOME = (52.0907, 5.1214)
_DIRECTIONS = ((1.0, 0.0), (0.8, 0.6), (0.6, -0.8), (0.0, -1.0), (-0.8, -0.6), (-0.6, 0.8))


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What to record: how many vehicles, for how long, and the seed of all chance."""

    vehicles: int = 20
    hours: float = 24.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """How a label is sampled: each `every` ms, with a chance to miss, and one to repeat a value."""

    every: int
    missed: float
    repeated: float


_RHYTHMS = {
    "current": _Rhythm(1_000, 0.02, 0.073),
    "speed": _Rhythm(1_000, 0.10, 0.039),
    "voltage": _Rhythm(1_000, 0.30, 0.095),
    "odo": _Rhythm(2_000, 0.15, 0.034),
    "gps": _Rhythm(1_000, 0.33, 0.03),
    "power": _Rhythm(1_000, 0.33, 0.07),
    "soc": _Rhythm(3_000, 0.10, 0.05),
}


def fleet_frames(plan: FleetPlan) -> Iterator[Frame]:
    """Yield the frames of all vehicles in the order of their time.

    No two frames of a vehicle share time and label.
    """
    vehicles = [
        _Vehicle(f"bus-{number:04}", Random(f"{plan.seed}:{number}")).day(plan.hours)
        for number in range(1, plan.vehicles + 1)
    ]
    return heapq.merge(*vehicles, key=lambda frame: frame.time)


class _Vehicle:
    """One bus: where it stands, and what its sensors would say."""

    def __init__(self, vid: str, rng: Random) -> None:
        self._vid = vid
        self._rng = rng
        self._sent: dict[str, str] = {}
        self._odo = self._between(10_000, 200_000)
        self._soc = self._between(75, 98)
        self._speed = 0.0
        self._target = 0.0
        self._acceleration = 0.0
        self._latitude, self._longitude = _HOME
        self._direction = _DIRECTIONS[0]
        self._sensors: dict[str, Callable[[], str]] = {
            "current": lambda: _decimal(self._current(), 1),
            "speed": lambda: _decimal(self._speed, 2),
            "voltage": lambda: _decimal(_RESTING_VOLTAGE - _OHMS * self._current(), 1),
            "odo": lambda: _decimal(round(self._odo * 200) / 200, 3),
            "gps": lambda: f'"{_decimal(self._latitude, 6)}|{_decimal(self._longitude, 6)}"',
            "power": lambda: _decimal(self._power(), 2),
            "soc": lambda: _decimal(self._soc, 2),
        }

    def day(self, hours: float) -> Iterator[Frame]:
        """Yield drives, each after its waking; between them the vehicle is parked and silent."""
        parked_since = 0
        for begin, end in self._drives(hours):
            charged = _CHARGED_IN_A_MINUTE * (begin - parked_since) / 60_000
            self._soc = min(98.0, self._soc + charged) if parked_since else self._soc
            yield from self._wake(START + begin)
            yield from self._drive(START + begin + _AWAKE_AFTER, START + end)
            parked_since = end

    def _drives(self, hours: float) -> Iterator[tuple[int, int]]:
        """Yield begin and end of each drive, in ms since the start.

        Of a day of 24 hours: drives of 36 to 90 minutes, breaks of 4 to 24 minutes, and at least
        one silence of 1 to 9.1 hours. A shorter recording has them all, shorter.
        """
        day = min(hours, 24.0) * _HOUR
        at = self._between(0, day / 100)
        silence = int(self._between(1, 5))
        while at < hours * _HOUR:
            drive = self._between(day / 40, day / 16)
            yield int(at), int(min(at + drive, hours * _HOUR))
            silence -= 1
            long = silence == 0 or self._rng.random() < 1 / 12
            parked = (day / 24, day * 9.1 / 24) if long else (day / 360, day / 60)
            at += drive + self._between(*parked)

    def _wake(self, at: int) -> Iterator[Frame]:
        """Yield the glitch of the recordings: the resting voltage, zero, a voltage under load."""
        for delay, voltage in _WAKING_VOLTAGES:
            yield Frame(self._vid, "voltage", voltage, at + delay)
        self._sent["voltage"] = _WAKING_VOLTAGES[-1][1]

    def _drive(self, begin: int, end: int) -> Iterator[Frame]:
        due = [(begin + int(self._between(0, 1_000)), label) for label in _RHYTHMS]
        heapq.heapify(due)
        moved, turn = begin, begin
        while due[0][0] < end:
            at, label = due[0]
            if at >= turn:
                turn = at + self._turn()
            self._move((at - moved) / 1_000)
            moved = at
            if (value := self._read(label)) is not None:
                yield Frame(self._vid, label, value, at)
            heapq.heapreplace(due, (at + self._interval(label), label))
        self._speed = 0.0

    def _read(self, label: str) -> str | None:
        """Return what the sensor sends: a new value, the last one again, or, unchanged, nothing."""
        last = self._sent.get(label)
        if last is not None and self._rng.random() < _RHYTHMS[label].repeated:
            return last
        value = self._sensors[label]()
        if value == last:
            return None
        self._sent[label] = value
        return value

    def _interval(self, label: str) -> int:
        rhythm = _RHYTHMS[label]
        steps = 1
        while self._rng.random() < rhythm.missed:
            steps += 1
        return steps * rhythm.every

    def _turn(self) -> int:
        """Choose a new speed and direction, and return for how many ms to keep them."""
        stop = self._rng.random() < 1 / 4
        self._target = 0.0 if stop else self._between(15, 60)
        self._direction = _DIRECTIONS[int(self._between(0, len(_DIRECTIONS)))]
        return int(self._between(8_000, 15_000) if stop else self._between(15_000, 45_000))

    def _move(self, seconds: float) -> None:
        if seconds <= 0:
            return
        change = min(max(self._target - self._speed, -4.0 * seconds), 3.0 * seconds)
        if self._target > 0:
            change += self._between(-0.3, 0.3) * seconds
        self._speed = max(0.0, self._speed + change)
        self._acceleration = change / seconds
        kilometres = self._speed * seconds / 3_600
        self._odo += kilometres
        self._soc = max(3.0, self._soc - self._power() * seconds / 36 / _USABLE_KWH)
        north, east = self._direction
        self._latitude += north * kilometres * 1_000 / _METRES_A_DEGREE[0]
        self._longitude += east * kilometres * 1_000 / _METRES_A_DEGREE[1]

    def _power(self) -> float:
        """Return kW: auxiliaries, rolling, and acceleration, of which braking gives 60 % back."""
        drive = self._acceleration * self._speed
        return (
            4.0 + 0.5 * self._speed + (drive if drive > 0 else 0.6 * drive) + self._between(-1, 1)
        )

    def _current(self) -> float:
        return self._power() * 1_000 / _RESTING_VOLTAGE

    def _between(self, low: float, high: float) -> float:
        return low + (high - low) * self._rng.random()


def _decimal(number: float, digits: int) -> str:
    """Return `number` as people write it: no trailing zeros, no minus zero."""
    text = f"{number:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
