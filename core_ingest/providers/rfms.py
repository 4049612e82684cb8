"""rFMS 4.0: one vehicleStatus of `/vehiclestatuses`, whatever wrapped it. Fields may be missing.

`createdDateTime` is the time of all but the position, which has `positionDateTime`. Distances are
in m, speeds in km/h. `receivedDateTime` is when the maker's server had it, and no reading's time.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from core_ingest.providers.parsing import (
    exact_record,
    identified,
    is_name,
    positions_of,
    readings_of,
)
from core_ingest.reading import Interpretation, Reading, Rejected

PROVIDER = "rfms"
_POSITION = "gnssPosition"
_NOT_PLAIN = {"vin", "createdDateTime", "receivedDateTime", "snapshotData", _POSITION}
_RANGE = "estimatedDistanceToEmpty"


def interpret(data: bytes) -> Interpretation:
    """Return the readings of one status: its own fields, those of its snapshot, the position."""
    status = exact_record(data)
    vin = identified(status.get("vin"), "no_vin", "vin")
    created = status.get("createdDateTime")
    snapshot = status.get("snapshotData")
    readings = list(_plain(status, created))
    if isinstance(snapshot, dict):
        readings += _snapshot(snapshot, created)
    elif snapshot is not None:
        readings.append(_no_object("snapshotData", snapshot))
    return Interpretation(PROVIDER, vin, readings)


def _plain(fields: Mapping[str, Any], created: Any) -> Iterator[Reading | Rejected]:
    """Read the fields that are one value; objects and lists are left out unless they are known."""
    for field, value in fields.items():
        if field in _NOT_PLAIN:
            continue
        found = _electric(value) if field == _RANGE else value
        if isinstance(found, dict | list):
            continue
        if is_name(field):
            yield from readings_of(PROVIDER, field, found, created)
        else:
            yield Rejected("no_label", "a field's name must be 1 to 256 printable characters")


def _electric(distance: Any) -> Any:
    """Return the battery's part of a distance by kind of energy, the total if that names no part."""
    if not isinstance(distance, dict):
        return distance
    whole = distance.get("total") if distance.keys() <= {"total", "batteryPack"} else None
    battery = distance.get("batteryPack")
    return whole if battery is None else battery


def _snapshot(snapshot: Mapping[str, Any], created: Any) -> Iterator[Reading | Rejected]:
    plain = list(_plain(snapshot, created))
    yield from plain
    fix = snapshot.get(_POSITION)
    if isinstance(fix, dict):
        # Two sensors seldom agree: of two speeds at one instant only the wheels' is a fact.
        taken = {found[:2] for found in plain if isinstance(found, Reading)}
        yield from (found for found in _position(fix, created) if found[:2] not in taken)
    elif fix is not None:
        yield _no_object(_POSITION, fix)


def _position(fix: Mapping[str, Any], created: Any) -> Iterator[Reading | Rejected]:
    time = fix.get("positionDateTime")
    if time is None:
        time = created
    yield from positions_of(PROVIDER, _POSITION, fix, time)
    yield from readings_of(PROVIDER, f"{_POSITION}.speed", fix.get("speed"), time)


def _no_object(field: str, found: Any) -> Rejected:
    return Rejected("not_an_object", f"{field} is a JSON {type(found).__name__}")
