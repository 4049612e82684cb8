"""What a correct system must end with, computed from the input alone.

Nothing of core is used here: the rules are written down a second time, from the provider's
documentation and the design, so that one mistake does not confirm itself.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from ingress_testbed.recordings import Frame
from ingress_testbed.simulator.sent import Sent

_BATTERY = "Vehicle.Powertrain.TractionBattery"
_KILO = Decimal(1000)
_ONE = Decimal(1)
_EXACT = Context(prec=1_100, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])  # no rounding before float64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_EARLIEST = Decimal(-62_135_596_800_000) + 1  # years 1 to 9999, in ms
_LATEST = Decimal(253_402_300_799_999)
_LONGEST = 256
_MAX_READ_BYTES = 16 * 2**20

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


Fact: TypeAlias = tuple[str, str, int, Value]
"""Vehicle as the provider names it, signal, epoch ms, value."""

SKEW_MS = 300_000
"""How far ahead of its arrival a reading may be observed: later ones are quarantined."""


class Truth(NamedTuple):
    """What must be there in the end.

    `snapshot` is by (vehicle as the provider names it, signal path), `facts` are distinct. `frames`
    is how many messages must be accounted for; of these so many are quarantined, empty, or
    dead-lettered, and the others are accepted, unchanged, stale, duplicate or in conflict, which
    depends on their order. `unread` messages, beyond frames, never get past the client's socket.
    """

    snapshot: dict[tuple[str, str], Latest]
    facts: int
    frames: int
    quarantined: int = 0
    empty: int = 0
    dead_lettered: int = 0
    unread: int = 0


def truth_of(frames: Iterable[Frame], *, horizon: float = math.inf) -> Truth:
    """Return what `frames`, in any order and however often repeated, must lead to.

    `horizon` (epoch ms) is the latest instant that can be a fact: SKEW_MS after the arrival. Frames
    without a value that the signal can take (a text for a number, null) make no fact.
    """
    return _judged(map(_of_frame, frames), horizon)


def truth_of_sent(messages: Iterable[Sent], *, horizon: float) -> Truth:
    """Return what `messages` must lead to, whatever they are; see truth_of.

    A stamp of 2090 is never a fact, one of 1970 is one. Times are whole milliseconds.
    """
    return _judged(map(_of_message, messages), horizon)


def facts_of(frames: Iterable[Frame], *, horizon: float = math.inf) -> set[Fact]:
    """Return the facts in `frames`."""
    return _facts(map(_of_frame, frames), horizon)


def facts_of_sent(messages: Iterable[Sent], *, horizon: float) -> set[Fact]:
    """Return the facts in `messages`; see truth_of_sent."""
    return _facts(map(_of_message, messages), horizon)


class _Fate(Enum):
    """What becomes of a message that makes no fact."""

    QUARANTINED = "quarantined"
    EMPTY = "empty"
    DEAD_LETTERED = "dead_lettered"
    UNREAD = "unread"


class _Datapoint(NamedTuple):
    """A vehicle's message as it was read; numbers are Decimal, and nothing is sure of the rest."""

    vid: object
    label: object
    value: object
    time: object


def _facts(read: Iterable[_Datapoint | _Fate], horizon: float) -> set[Fact]:
    judged = (_judge(one, horizon) for one in read)
    return {one for one in judged if not isinstance(one, _Fate)}


def _judged(read: Iterable[_Datapoint | _Fate], horizon: float) -> Truth:
    greatest: dict[tuple[str, str], tuple[int, tuple[int, Value]]] = {}
    facts: set[Fact] = set()
    fates: Counter[_Fate] = Counter()
    count = 0
    for one in read:
        count += 1
        fact = _judge(one, horizon)
        if isinstance(fact, _Fate):
            fates[fact] += 1
            continue
        facts.add(fact)
        vid, signal, time, value = fact
        key, candidate = (vid, signal), (time, _rank(value))
        if key not in greatest or candidate > greatest[key]:
            greatest[key] = candidate
    return Truth(
        snapshot={
            key: Latest(value, _EPOCH + timedelta(milliseconds=time))
            for key, (time, (_, value)) in greatest.items()
        },
        facts=len(facts),
        frames=count - fates[_Fate.UNREAD],
        **{fate.value: fates[fate] for fate in _Fate},
    )


def _of_frame(frame: Frame) -> _Datapoint:
    return _Datapoint(frame.vid, frame.label, _decoded(frame.value), Decimal(frame.time))


def _of_message(message: Sent) -> _Datapoint | _Fate:
    if message.size > _MAX_READ_BYTES:
        return _Fate.UNREAD
    if message.data is None:
        return _Fate.DEAD_LETTERED  # by the edge, which reports it as undeliverable
    return _of_data(message.data)


def _of_data(data: bytes) -> _Datapoint | _Fate:
    try:
        frame = _decoded(data.decode())
    except ValueError:
        return _Fate.DEAD_LETTERED
    if not isinstance(frame, dict):
        return _Fate.DEAD_LETTERED
    if frame.get("type") in {"acl", "error"}:
        return _Fate.EMPTY
    payload = frame.get("payload")
    if frame.get("type") != "vehicles" or not isinstance(payload, dict):
        return _Fate.DEAD_LETTERED
    return _Datapoint(*(payload.get(key) for key in ("vid", "label", "value", "time")))


def _decoded(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal)


def _judge(one: _Datapoint | _Fate, horizon: float) -> Fact | _Fate:
    if isinstance(one, _Fate):
        return one
    vid, label, value, time = one
    if not (isinstance(vid, str) and isinstance(label, str) and _is_name(vid) and _is_name(label)):
        return _Fate.DEAD_LETTERED
    if value is None:
        return _Fate.EMPTY
    instant, read = _instant(time), _signal_and_value(label, value)
    if instant is None or read is None:
        return _Fate.DEAD_LETTERED
    return (vid, read[0], instant, read[1]) if instant <= horizon else _Fate.QUARANTINED


def _instant(time: object) -> int | None:
    if not isinstance(time, Decimal) or not _EARLIEST <= time <= _LATEST:
        return None
    if time != int(time):
        raise ValueError(f"the truth knows whole milliseconds only, not {time}")
    return int(time)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()


def _signal_and_value(label: str, value: object) -> tuple[str, Value] | None:
    """Return the signal's path and the value in the signal's unit."""
    if label == _POSITION_LABEL:
        position = _position(value)
        return (_POSITION_PATH, position) if position else None
    if label in _NUMBERS:
        path, factor = _NUMBERS[label]
        number = _number(value, factor)
        return None if number is None else (path, number)
    other = _text(value) if isinstance(value, str) else _number(value, _ONE)
    return None if other is None else (f"viriciti.{label}", other)


def _text(value: str) -> str | None:
    try:
        kept = len(value.encode()) <= _LONGEST and "\x00" not in value
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return value if kept else None


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
        position = Position(float(latitude) + 0.0, float(longitude) + 0.0)
    except ValueError:
        return None
    return position if bar and "_" not in value and all(map(math.isfinite, position)) else None


def _rank(value: Value) -> tuple[int, Value]:
    """Return the key of the fixed order at one instant: number < text < position."""
    if isinstance(value, float):
        return 0, value
    if isinstance(value, str):
        return 1, value
    return 2, value
