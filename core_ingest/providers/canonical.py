"""Canonical updates: somebody else has interpreted already; signals and units are the catalogue's."""

from pydantic import ValidationError

from core_ingest.reading import (
    EARLIEST,
    LATEST,
    Interpretation,
    Reading,
    Rejected,
    Uninterpretable,
    Unstorable,
    Value,
    micros,
    number,
    text,
)
from core_ingest.signals.catalogue import CATALOGUE
from core_ingest.signals.labels import uncatalogued
from ingress_contracts.canonical import CanonicalReading, CanonicalUpdate, Position


def interpret(data: bytes) -> Interpretation:
    """Return the readings of a `telematics.canonical.update.v1`, or raise Uninterpretable."""
    try:
        update = CanonicalUpdate.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Uninterpretable("not_canonical", f"{where}: {first['msg']}") from None
    readings = [_reading(update.provider, reading) for reading in update.readings]
    return Interpretation(update.provider, update.externalid, readings)


def _reading(provider: str, reading: CanonicalReading) -> Reading | Rejected:
    known = reading.signal in CATALOGUE or reading.signal.startswith(f"{provider}.")
    name = reading.signal if known else uncatalogued(provider, reading.signal)
    observed = micros(reading.observed)
    if not EARLIEST <= observed <= LATEST:
        return Rejected("time_out_of_range", f"{reading.observed} lies outside of years 1 to 9999")
    try:
        return Reading(name, observed, _value(reading.value))
    except Unstorable as error:
        return Rejected(*error.args)


def _value(value: float | str | Position) -> Value:
    if isinstance(value, Position):
        return number(value.latitude), number(value.longitude)
    return text(value) if isinstance(value, str) else number(value)
