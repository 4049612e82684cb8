import json
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_ingest.providers import interpreters
from core_ingest.providers.geotab import interpret
from core_ingest.reading import EARLIEST, LATEST, Reading, Rejected, Uninterpretable, instant

BATTERY = "Vehicle.Powertrain.TractionBattery"
ODOMETER = "DiagnosticOdometerId"
CHARGING = "DiagnosticElectricVehicleChargingStateId"
TIME = "2026-07-14T10:15:00.000Z"
AT = 1_784_024_100_000_000


def status(data: str, diagnostic: str = "DiagnosticStateOfChargeId", time: str = TIME) -> bytes:
    """Return a StatusData; `data` is JSON as it travels."""
    return (
        f'{{"controller":"ControllerNoneId","data":{data},"dateTime":{json.dumps(time)},'
        f'"device":{{"id":"b8E2"}},"diagnostic":{{"id":{json.dumps(diagnostic)}}},'
        '"id":"b15b201","version":"00000000000015b1"}'
    ).encode()


def log(**fields: Any) -> bytes:
    return json.dumps({"device": {"id": "b8E2"}, "dateTime": TIME, "id": "b1", **fields}).encode()


def only(data: bytes) -> Reading | Rejected:
    provider, external_id, readings = interpret(data)
    assert (provider, external_id, len(readings)) == ("geotab", "b8E2", 1)
    return readings[0]


def reason(data: bytes) -> str:
    found = only(data)
    assert isinstance(found, Rejected)
    return found.reason


@pytest.mark.parametrize(
    ("diagnostic", "sent", "signal", "kept"),
    [
        ("DiagnosticStateOfChargeId", "57.5", f"{BATTERY}.StateOfCharge.Displayed", 57.5),
        (ODOMETER, "80766810", "Vehicle.TraveledDistance", 80766.81),
        (CHARGING, "0", f"{BATTERY}.Charging.IsCharging", 0.0),
        (CHARGING, "1", f"{BATTERY}.Charging.IsCharging", 1.0),
        (CHARGING, "2.0", f"{BATTERY}.Charging.IsCharging", 1.0),
        ("DiagnosticFuelLevelId", "12.25", "geotab.DiagnosticFuelLevelId", 12.25),
        ("aX-1", '"on"', "geotab.aX-1", "on"),
        ("aX-1", "true", "geotab.aX-1", 1.0),
    ],
)
def test_each_diagnostic_becomes_its_signal_in_the_unit_of_the_catalogue(
    diagnostic: str, sent: str, signal: str, kept: float | str
) -> None:
    assert only(status(sent, diagnostic)) == Reading(signal, AT, kept)


def test_log_record_is_a_position_and_a_speed_of_one_instant() -> None:
    assert interpret(log(latitude=52.09, longitude=5.11, speed=35)).readings == [
        Reading("Vehicle.CurrentLocation", AT, (52.09, 5.11)),
        Reading("Vehicle.Speed", AT, 35.0),
    ]


def test_parts_of_a_log_record_stand_alone() -> None:
    assert only(log(speed=35)) == Reading("Vehicle.Speed", AT, 35.0)
    assert only(log(latitude=52, longitude=5, speed=None)) == Reading(
        "Vehicle.CurrentLocation", AT, (52.0, 5.0)
    )
    wrong, right = interpret(log(latitude=52, speed=35)).readings
    assert isinstance(wrong, Rejected)
    assert (wrong.reason, right) == ("not_a_position", Reading("Vehicle.Speed", AT, 35.0))


def test_entity_can_stand_as_its_bare_id() -> None:
    data = {
        "data": 1,
        "dateTime": TIME,
        "device": "b8E2",
        "diagnostic": "DiagnosticStateOfChargeId",
    }

    assert only(json.dumps(data).encode()) == Reading(f"{BATTERY}.StateOfCharge.Displayed", AT, 1.0)


@given(st.decimals(-(10**12), 10**12, allow_nan=False))
def test_metres_become_kilometres_exactly_and_are_rounded_once(metres: Decimal) -> None:
    found = only(status(f"{metres:E}", ODOMETER))

    assert isinstance(found, Reading)
    assert found.value == float(Fraction(metres) / 1_000)


@pytest.mark.parametrize("sent", ["NaN", "Infinity", "1e400", "1e99999999999999999999", "9" * 400])
@pytest.mark.parametrize("diagnostic", ["DiagnosticStateOfChargeId", ODOMETER, "aX-1"])
def test_number_that_float64_cannot_hold_is_rejected(diagnostic: str, sent: str) -> None:
    assert reason(status(sent, diagnostic)) == "not_finite"


@pytest.mark.parametrize("sent", ["true", '"57.5"', "[1]", '{"a":1}'])
@pytest.mark.parametrize("diagnostic", ["DiagnosticStateOfChargeId", ODOMETER, "LogRecord"])
def test_catalogued_diagnostic_takes_numbers_only(diagnostic: str, sent: str) -> None:
    assert reason(status(sent, diagnostic)) == "not_a_number"


@pytest.mark.parametrize("sent", ["3", "-1", "0.5", "true", '"1"', "[]", "NaN", "1e999999999999"])
def test_charging_state_that_is_not_known_is_rejected(sent: str) -> None:
    assert reason(status(sent, CHARGING)) == "unknown_state"


def test_null_is_no_reading_and_an_object_cannot_be_kept() -> None:
    assert interpret(status("null")).readings == []
    assert reason(status('{"a":1}', "aX-1")) == "unsupported_value"


def test_last_of_equal_keys_counts() -> None:
    data = status("1").replace(b'"data":1', b'"data":1,"data":2.5')

    assert only(data) == Reading(f"{BATTERY}.StateOfCharge.Displayed", AT, 2.5)


@pytest.mark.parametrize(
    ("time", "micros"),
    [
        ("2026-07-14T10:15:00Z", AT),
        ("2026-07-14t10:15:00z", AT),
        ("2026-07-14T12:15:00+02:00", AT),
        ("2026-07-14T12:15:00+0200", AT),
        ("2026-07-14T04:45:00.0000009-05:30", AT),
        ("2026-07-14T10:15:00.1234569Z", AT + 123_456),
        ("2026-07-14T10:15:00.999999999999999Z", AT + 999_999),
        ("1969-12-31T23:59:59.9999999Z", -1),
    ],
)
def test_time_is_floored_to_microseconds_whatever_its_offset(time: str, micros: int) -> None:
    found = only(status("1", time=time))

    assert isinstance(found, Reading)
    assert found.observed == micros


@given(st.integers(EARLIEST // 2, LATEST // 2), st.integers(0, 999))
def test_any_time_comes_through_and_what_is_finer_is_cut_off(at: int, nanoseconds: int) -> None:
    text = f"{instant(at):%Y-%m-%dT%H:%M:%S.%f}".rjust(26, "0") + f"{nanoseconds:03}Z"

    found = only(status("1", time=text))

    assert isinstance(found, Reading)
    assert found.observed == at


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ("", "no_time"),
        ("2026-07-14", "no_time"),
        ("2026-07-14T10:15:00", "no_time"),
        ("2026-07-14T24:00:00Z", "no_time"),
        ("2026-07-14T10:15:60Z", "no_time"),
        ("2026-02-30T10:15:00Z", "no_time"),
        ("2026-07-14T10:15:00+24:00", "no_time"),
        ("0000-01-01T00:00:00Z", "no_time"),
        ("٢٠٢٦-07-14T10:15:00Z", "no_time"),
        ("2026-07-14T10:15:00Z\n", "no_time"),
        ("0001-01-01T00:00:00+05:00", "time_out_of_range"),
        ("9999-12-31T23:59:59.9999999Z", "time_out_of_range"),
        ("9999-12-31T23:59:59-05:00", "time_out_of_range"),
    ],
)
def test_time_that_is_none_is_rejected(time: str, why: str) -> None:
    assert reason(status("1", time=time)) == why


@pytest.mark.parametrize("time", [b"null", b"1784024100000", b"true", b"[]", b"{}"])
def test_time_that_is_no_text_is_rejected(time: bytes) -> None:
    assert reason(status("1").replace(f'"{TIME}"'.encode(), time)) == "no_time"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b"<html>", "not_json"),
        (b'{"diagnostic":' * 300, "not_json"),
        (b"[]", "not_an_object"),
        (b"{}", "unsupported_type"),
        (b'{"result":{"data":[]}}', "unsupported_type"),
        (b'{"speed":1}', "no_device"),
        (b'{"speed":1,"device":{"id":""}}', "no_device"),
        (b'{"speed":1,"device":{"id":"a\\u0000"}}', "no_device"),
        (b'{"diagnostic":{"id":7},"device":{"id":"b"}}', "no_diagnostic"),
        (b'{"diagnostic":null,"device":{"id":"b"}}', "no_diagnostic"),
    ],
)
def test_what_is_no_record_says_why(data: bytes, why: str) -> None:
    with pytest.raises(Uninterpretable) as refusal:
        interpret(data)

    assert refusal.value.reason == why
    assert refusal.value.detail


def test_interpreter_is_found_by_its_entry_point() -> None:
    assert interpreters()["geotab"] is interpret


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
entities = json_values | st.fixed_dictionaries({"id": st.sampled_from(["b8E2", CHARGING])})
records = st.fixed_dictionaries(
    {},
    optional={
        "device": entities,
        "diagnostic": entities,
        "dateTime": st.just(TIME) | json_values,
        **dict.fromkeys(("data", "latitude", "longitude", "speed"), json_values),
    },
)


def holds(data: bytes) -> None:
    """Interpret to what can be stored, or refuse."""
    try:
        _, external_id, readings = interpret(data)
    except Uninterpretable:
        return
    assert external_id.isprintable()
    for found in readings:
        if isinstance(found, Reading):
            assert EARLIEST <= found.observed <= LATEST
            parts = found.value if isinstance(found.value, tuple) else (found.value,)
            assert all(isfinite(part) for part in parts if isinstance(part, float))


@given(st.binary(max_size=100))
def test_any_bytes_are_interpreted_or_refused(data: bytes) -> None:
    holds(data)


@given(records)
def test_any_record_is_interpreted_or_refused(record: Mapping[str, Any]) -> None:
    holds(json.dumps(record).encode())
