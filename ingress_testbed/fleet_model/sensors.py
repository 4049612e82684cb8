"""What the telematics box sends of a bus: each label in its own rhythm, and only when it changed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ingress_testbed.fleet_model.chance import Dice

WAKING = ((0, "664.8"), (450, "0"), (900, "661.2"))
"""The glitch of the recordings: ms after waking, and what the voltage then reads, be the battery
what it may."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a label is sampled: every so many seconds, with chances to miss, and to repeat a value."""

    every: int
    missed: float
    repeated: float


DRIVING = {
    "current": Rhythm(1, 0.02, 0.073),
    "speed": Rhythm(1, 0.05, 0.039),
    "voltage": Rhythm(1, 0.25, 0.095),
    "odo": Rhythm(2, 0.10, 0.034),
    "gps": Rhythm(1, 0.33, 0.03),
    "power": Rhythm(1, 0.33, 0.07),
    "soc": Rhythm(3, 0.10, 0.05),
    "energy": Rhythm(5, 0.10, 0.05),
}
CHARGING = {
    "current": Rhythm(5, 0.02, 0.0),
    "speed": Rhythm(1, 0.0, 0.0),
    "voltage": Rhythm(5, 0.30, 0.0),
    "odo": Rhythm(1, 0.0, 0.0),
    "gps": Rhythm(1, 0.0, 0.0),
    "power": Rhythm(5, 0.10, 0.0),
    "soc": Rhythm(10, 0.10, 0.0),
    "energy": Rhythm(1, 0.0, 0.0),
}


class Sensors:
    """Reads `gauges`, which give each label's value as JSON text."""

    def __init__(self, gauges: Mapping[str, Callable[[], str]], dice: Dice) -> None:
        self._gauges = gauges
        self._dice = dice
        self._sent: dict[str, str] = {}
        self._due = dict.fromkeys(gauges, 0)

    def wake(self) -> Iterator[tuple[int, str, str]]:
        """Begin anew; yield the glitch as ms, label and value."""
        self._due = dict.fromkeys(self._gauges, 0)
        for after, voltage in WAKING:
            yield after, "voltage", voltage
        self._sent["voltage"] = WAKING[-1][1]

    def read(self, rhythms: Mapping[str, Rhythm], *, moving: bool) -> Iterator[tuple[str, str]]:
        """Let a second pass; yield label and value of what is sent in it.

        Only a moving bus repeats a value, and never a zero: a power or a speed of before the stop,
        sent from a standing bus, would look like charging.
        """
        for label, rhythm in rhythms.items():
            self._due[label] -= 1
            if self._due[label] > 0:
                continue
            self._due[label] = self._interval(rhythm)
            last = self._sent.get(label)
            if moving and last not in {None, "0"} and self._dice.happens(rhythm.repeated):
                yield label, str(last)
                continue
            value = self._gauges[label]()
            if value != last:
                self._sent[label] = value
                yield label, value

    def _interval(self, rhythm: Rhythm) -> int:
        steps = 1
        while self._dice.happens(rhythm.missed):
            steps += 1
        return steps * rhythm.every


def decimal(number: float, digits: int) -> str:
    """Return `number` as people write it: no trailing zeros, no minus zero."""
    text = f"{number:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
