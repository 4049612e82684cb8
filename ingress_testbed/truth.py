"""What a correct system must end with, computed from the input alone.

Nothing of core is used here: the rules are written down a second time, from the provider's
documentation and the design, so that one mistake does not confirm itself.
"""

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import NamedTuple, TypeAlias

from ingress_testbed.recordings import Frame

_BATTERY = "Vehicle.Powertrain.TractionBattery"
_KILO = Decimal(1000)
_ONE = Decimal(1)
_EXACT = Context(prec=1_100, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])  # no rounding before float64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_POSITION_LABEL = "gps"
_POSITION_PATH = "Vehicle.CurrentLocation"
_NUMBERS: dict[str, tuple[str, Decimal]] = {
    "odo": ("Vehicle.TraveledDistance", _ONE),
    "speed": ("Vehicle.Speed", _ONE),
    "soc": (f"{_BATTERY}.StateOfCharge.Displayed", _ONE),
    "current": (f"{_BATTERY}.CurrentCurrent", _ONE),
    "voltage": (f"{_BATTERY}.CurrentVoltage", _ONE),
    "power": (f"{_BATTERY}.CurrentPower", _KILO),
    "analyses.estimated_range": ("Vehicle.Powertrain.Range", _KILO),
}


class Position(NamedTuple):
    """Degrees, WGS 84."""

    latitude: float
    longitude: float


Value: TypeAlias = float | str | Position


class Latest(NamedTuple):
    """The value that a snapshot must serve, and when it was observed (UTC)."""

    value: Value
    observed: datetime


class Truth(NamedTuple):
    """`snapshot` by (vehicle as the provider names it, signal path); distinct facts; frames."""

    snapshot: dict[tuple[str, str], Latest]
    facts: int
    frames: int


def truth_of(frames: Iterable[Frame]) -> Truth:
    """Return what `frames`, in any order and however often repeated, must lead to.

    Frames without a value that the signal can take (a text for a number, null) make no fact.
    """
    greatest: dict[tuple[str, str], tuple[int, tuple[int, Value]]] = {}
    facts: set[tuple[str, str, int, Value]] = set()
    count = 0
    for frame in frames:
        count += 1
        read = _signal_and_value(frame.label, frame.value)
        if read is None:
            continue
        signal, value = read
        facts.add((frame.vid, signal, frame.time, value))
        key, candidate = (frame.vid, signal), (frame.time, _rank(value))
        if key not in greatest or candidate > greatest[key]:
            greatest[key] = candidate
    snapshot = {
        key: Latest(value, _EPOCH + timedelta(milliseconds=time))
        for key, (time, (_, value)) in greatest.items()
    }
    return Truth(snapshot, len(facts), count)


def _signal_and_value(label: str, text: str) -> tuple[str, Value] | None:
    """Return the signal's path and the value of a frame's JSON `text` in the signal's unit."""
    if label == _POSITION_LABEL:
        position = _position(json.loads(text))
        return (_POSITION_PATH, position) if position else None
    value = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal)
    if label in _NUMBERS:
        path, factor = _NUMBERS[label]
        number = _number(value, factor)
        return None if number is None else (path, number)
    other = value if isinstance(value, str) else _number(value, _ONE)
    return None if other is None else (f"viriciti.{label}", other)


def _number(value: object, factor: Decimal) -> float | None:
    """Convert exactly and round once; minus zero is zero."""
    if isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    number = float(_EXACT.multiply(value, factor))
    return None if math.isinf(number) else number + 0.0


def _position(value: object) -> Position | None:
    if not isinstance(value, str):
        return None
    latitude, bar, longitude = value.partition("|")
    try:
        return Position(float(latitude) + 0.0, float(longitude) + 0.0) if bar else None
    except ValueError:
        return None


def _rank(value: Value) -> tuple[int, Value]:
    """Return the key of the fixed order at one instant: number < text < position."""
    if isinstance(value, float):
        return 0, value
    if isinstance(value, str):
        return 1, value
    return 2, value
