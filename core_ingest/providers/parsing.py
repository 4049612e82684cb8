"""What interpreters share: JSON with every digit kept, names, times of RFC 3339, values by label.

`parsed` and `identified` raise Uninterpretable, for the message as a whole; the rest raises
Unstorable, for one reading.
"""

import json
import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard

from pydantic_core import from_json

from core_ingest.reading import (
    EARLIEST,
    LATEST,
    Position,
    Reading,
    Rejected,
    Uninterpretable,
    Unstorable,
    Value,
    micros,
    number,
    text,
)
from core_ingest.signals.labels import LABELS, Label, uncatalogued

POSITION = "Vehicle.CurrentLocation"
_MAX_NAME = 256
_NUMBERS = (int, float, Decimal)  # by exact type: JSON's true is no number
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
)


def parsed(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object that `data` are, its numbers as the quick parser has them.

    Of keys that are there twice, the last one counts. Deep nesting, integers of more than 4,300
    digits and lone surrogates are no JSON here.
    """
    try:
        found = from_json(data)
    except ValueError as error:
        raise Uninterpretable("not_json", str(error)[:200]) from None
    if not isinstance(found, dict):
        raise Uninterpretable("not_an_object", f"the {what} is a JSON {type(found).__name__}")
    return found


def exactly(data: bytes) -> Any:
    """Parse again what `parsed` took, with every digit kept: fractions as Decimal."""
    return json.loads(data, parse_float=_decimal, parse_constant=Decimal)


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:  # an exponent that no Decimal holds: zero or infinity
        return Decimal(float(digits))


def exact_record(data: bytes) -> dict[str, Any]:
    """Return the record of a polled provider with every digit kept."""
    parsed(data, "record")
    found: dict[str, Any] = exactly(data)
    return found


def is_name(name: Any) -> TypeGuard[str]:
    """Return whether an asset or a signal may be called so: 1 to 256 printable characters."""
    return isinstance(name, str) and 0 < len(name) <= _MAX_NAME and name.isprintable()


def identified(name: Any, reason: str, where: str) -> str:
    """Return `name` if it is one."""
    if is_name(name):
        return name
    raise Uninterpretable(reason, f"{where} must be a text of 1 to 256 printable characters")


def observed(time: Any) -> int:
    """Return an RFC 3339 date-time with offset in µs, floored. The offset may lack its colon."""
    if not isinstance(time, str) or not _RFC3339.fullmatch(time):
        raise Unstorable("no_time", f"{time!s:.40} is no RFC 3339 date-time with offset")
    try:
        # It cuts off what is finer than µs: time runs forward within a second, so that floors.
        at = micros(datetime.fromisoformat(time.upper()))
    except ValueError as error:
        raise Unstorable("no_time", f"{time:.40}: {error}") from None
    if not EARLIEST <= at <= LATEST:
        raise Unstorable("time_out_of_range", f"{time:.40} lies outside of years 1 to 9999")
    return at


def measured(value: Any, label: Label) -> float | None:
    """Return a number in the catalogue's unit, or None where the provider says "unknown"."""
    if label.states is not None:
        return _state(value, label)
    if type(value) not in _NUMBERS or label.signal == POSITION:
        raise Unstorable("not_a_number", f"{value!s:.40} is no number of {label.signal}")
    return number(value, label.factor)


def _state(value: Any, label: Label) -> float | None:
    states = label.states or {}
    if isinstance(value, str):
        value = value.upper().replace(" ", "_")
    if (type(value) in _NUMBERS or isinstance(value, str)) and value in states:
        return states[value]
    raise Unstorable("unknown_state", f"{value!s:.40} is no state of {label.signal}")


def position(latitude: Any, longitude: Any) -> Position:
    """Return two numbers of degrees as a position."""
    if type(latitude) not in _NUMBERS or type(longitude) not in _NUMBERS:
        raise Unstorable(
            "not_a_position", f"{latitude!s:.40}, {longitude!s:.40} are no latitude and longitude"
        )
    return number(latitude), number(longitude)


def storable(value: Any) -> Value:
    """Return the value of an uncatalogued signal: a number, a text, or a boolean as 0 or 1."""
    if isinstance(value, bool | int | float | Decimal):
        return number(value)
    if isinstance(value, str):
        return text(value)
    raise Unstorable("unsupported_value", f"a JSON {type(value).__name__} is no number or text")


def readings_of(provider: str, label: str, value: Any, time: Any) -> list[Reading | Rejected]:
    """Return the reading of a label: none if the value is null or says "unknown"."""
    if value is None:
        return []
    known = LABELS[provider].get(label)
    try:
        kept = measured(value, known) if known else storable(value)
        if kept is None:
            return []
        signal = known.signal if known else uncatalogued(provider, label)
        return [Reading(signal, observed(time), kept)]
    except Unstorable as error:
        return [Rejected(*error.args)]


def positions_of(provider: str, label: str, at: Any, time: Any) -> list[Reading | Rejected]:
    """Return the position in an object with `latitude` and `longitude`: none if both are absent."""
    latitude, longitude = at.get("latitude"), at.get("longitude")
    if latitude is None and longitude is None:
        return []
    try:
        kept = position(latitude, longitude)
        return [Reading(LABELS[provider][label].signal, observed(time), kept)]
    except Unstorable as error:
        return [Rejected(*error.args)]
