"""ViriCiti: one datapoint a frame, `{"type", "payload": {"vid", "label", "value", "time"}}`.

`time` is in epoch milliseconds; gps is the text `lat|lon`; null as a value means absent. Frames of
types acl and error speak of the connection and hold no readings.
"""

from decimal import MAX_EMAX, MIN_EMIN, ROUND_FLOOR, Context, Decimal
from math import floor
from typing import Any

from core_ingest.providers.parsing import POSITION, exactly, identified, parsed, storable
from core_ingest.reading import (
    EARLIEST,
    LATEST,
    Interpretation,
    Position,
    Reading,
    Rejected,
    Uninterpretable,
    Unstorable,
    Value,
    number,
)
from core_ingest.signals.labels import LABELS, Label, uncatalogued

PROVIDER = "viriciti"
_LABELS = LABELS[PROVIDER]
_SILENT_TYPES = ("acl", "error")  # no set: a hostile type need not be hashable
_FLOORED = Context(prec=30, rounding=ROUND_FLOOR, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Rounds down only, and keeps more digits than an instant in µs has."""


def interpret(data: bytes) -> Interpretation:
    """Return the readings of one frame: one, or none for acl, error and null values."""
    frame = parsed(data, "frame")
    payload = frame.get("payload")
    if frame.get("type") != "vehicles":
        return _without_readings(frame.get("type"))
    if not isinstance(payload, dict):
        raise Uninterpretable("no_payload", "the frame has no object as payload")
    vid = identified(payload.get("vid"), "no_vid", "payload.vid")
    label = identified(payload.get("label"), "no_label", "payload.label")
    return Interpretation(PROVIDER, vid, _readings(data, payload, label))


def _without_readings(kind: Any) -> Interpretation:
    if kind in _SILENT_TYPES:
        return Interpretation(PROVIDER, "", [])
    raise Uninterpretable("unsupported_type", f"frames of type {kind!s:.40} are not interpreted")


def _readings(data: bytes, payload: dict[str, Any], label: str) -> list[Reading | Rejected]:
    value = payload.get("value")
    if value is None:
        return []
    known = _LABELS.get(label)
    try:
        observed = _observed(data, payload.get("time"))
        kept = _catalogued(data, value, known) if known else storable(value)
    except Unstorable as error:
        return [Rejected(*error.args)]
    return [Reading(known.signal if known else uncatalogued(PROVIDER, label), observed, kept)]


def _observed(data: bytes, time: Any) -> int:
    """Return `time` (ms) in µs, floored."""
    if type(time) is int:
        observed = time * 1000
    elif type(time) is float:
        observed = _exact_floor(exactly(data)["payload"]["time"])
    else:
        raise Unstorable("no_time", "payload.time must be a number of milliseconds since 1970")
    if not EARLIEST <= observed <= LATEST:
        raise Unstorable("time_out_of_range", f"{time!s:.40} ms lies outside of years 1 to 9999")
    return observed


def _exact_floor(time: Decimal) -> int:
    # Compared, not computed with: the exponent may be one that the usual context cannot hold.
    if not time.is_finite() or not -LATEST <= time <= LATEST:
        return LATEST + 1
    return floor(_FLOORED.multiply(time, Decimal(1000)))


def _catalogued(data: bytes, value: Any, label: Label) -> Value:
    if label.signal == POSITION:
        return _position(value)
    if type(value) is not float and type(value) is not int:
        raise Unstorable("not_a_number", f"{value!s:.40} is no number")
    if label.factor is None:
        return number(value)
    return number(exactly(data)["payload"]["value"], label.factor)


def _position(value: Any) -> Position:
    # Python reads 1_0 as ten; no provider means that.
    plain = isinstance(value, str) and "_" not in value
    latitude, _, longitude = value.partition("|") if plain else ("", "", "")
    try:
        return number(float(latitude)), number(float(longitude))
    except (ValueError, Unstorable):
        raise Unstorable("not_a_position", f"{value!s:.80} is not of the form lat|lon") from None
