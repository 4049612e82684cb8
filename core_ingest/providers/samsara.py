"""Samsara: one vehicle of `/fleet/vehicles/stats/feed`, `{"id", "name", STAT: [{"time", "value"}]}`.

Each type of statistics is a list of readings, each with its own time. `gps` has `latitude`,
`longitude` and `speedMilesPerHour` instead of a value. What is absent has not changed.
"""

from collections.abc import Iterator
from typing import Any

from core_ingest.providers.parsing import (
    exact_record,
    identified,
    is_name,
    positions_of,
    readings_of,
)
from core_ingest.reading import Interpretation, Reading, Rejected
from core_ingest.signals.labels import LABELS

PROVIDER = "samsara"
_POSITION = "gps"
_SPEED = "gps.speedMilesPerHour"


def interpret(data: bytes) -> Interpretation:
    """Return the readings of one vehicle, type by type, in the order of the record."""
    record = exact_record(data)
    vehicle = identified(record.get("id"), "no_id", "id")
    readings = [reading for item in record.items() for reading in _readings(*item)]
    return Interpretation(PROVIDER, vehicle, readings)


def _readings(stat: str, found: Any) -> Iterator[Reading | Rejected]:
    known = stat in LABELS[PROVIDER]
    if isinstance(found, list):
        for each in found:
            yield from _known(stat, each) if known else _unknown(stat, each)
    elif known and found is not None:
        yield Rejected("not_a_list", f"{stat} is a JSON {type(found).__name__}")


def _known(stat: str, each: Any) -> Iterator[Reading | Rejected]:
    if not isinstance(each, dict):
        yield Rejected("not_an_object", f"a JSON {type(each).__name__} in {stat}")
    elif stat == _POSITION:
        time = each.get("time")
        yield from positions_of(PROVIDER, _POSITION, each, time)
        yield from readings_of(PROVIDER, _SPEED, each.get("speedMilesPerHour"), time)
    else:
        yield from readings_of(PROVIDER, stat, each.get("value"), each.get("time"))


def _unknown(stat: str, each: Any) -> Iterator[Reading | Rejected]:
    """Leave out what has no plain value: its shape is not known, so nothing is wrong with it."""
    value = each.get("value") if isinstance(each, dict) else None
    if value is None or isinstance(value, dict | list):
        return
    if is_name(stat):
        yield from readings_of(PROVIDER, stat, value, each.get("time"))
    else:
        yield Rejected("no_label", "a type's name must be 1 to 256 printable characters")
