"""Geotab: one record of `GetFeed`, a StatusData or a LogRecord; which, its fields tell.

StatusData: `{"data", "dateTime", "device": {"id"}, "diagnostic": {"id"}}`, one measurement.
LogRecord: `{"latitude", "longitude", "speed", "dateTime", "device": {"id"}}`, speed in km/h.
An entity that Geotab itself defines can stand as its bare id. Null means absent.
"""

from typing import Any

from core_ingest.providers.parsing import exact_record, identified, positions_of, readings_of
from core_ingest.reading import Interpretation, Uninterpretable

PROVIDER = "geotab"
_OF_A_LOG_RECORD = ("latitude", "longitude", "speed")


def interpret(data: bytes) -> Interpretation:
    """Return the readings of one record: one of StatusData, at most two of LogRecord."""
    record = exact_record(data)
    time = record.get("dateTime")
    if "diagnostic" in record:
        device = _id(record, "device")
        label = _id(record, "diagnostic")
        readings = readings_of(PROVIDER, label, record.get("data"), time)
    elif any(key in record for key in _OF_A_LOG_RECORD):
        device = _id(record, "device")
        readings = [
            *positions_of(PROVIDER, "LogRecord", record, time),
            *readings_of(PROVIDER, "LogRecord.speed", record.get("speed"), time),
        ]
    else:
        raise Uninterpretable("unsupported_type", "neither a StatusData nor a LogRecord")
    return Interpretation(PROVIDER, device, readings)


def _id(record: dict[str, Any], key: str) -> str:
    entity = record.get(key)
    return identified(
        entity.get("id") if isinstance(entity, dict) else entity, f"no_{key}", f"{key}.id"
    )
