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
from core_ingest.providers.samsara import interpret
from core_ingest.reading import EARLIEST, LATEST, Interpretation, Reading, Rejected, Uninterpretable

BATTERY = "Vehicle.Powertrain.TractionBattery"
SOC = "evStateOfChargeMilliPercent"
TIME = "2026-01-01T12:00:07Z"
AT = 1_767_268_807_000_000


def vehicle(**stats: Any) -> bytes:
    return json.dumps({"id": "281474980000021", "name": "Bus 301", **stats}).encode()


def value(sent: str, stat: str) -> bytes:
    """Return a vehicle with one reading; `sent` is JSON as it travels."""
    return f'{{"id":"281474980000021","{stat}":[{{"time":"{TIME}","value":{sent}}}]}}'.encode()


def only(data: bytes) -> Reading | Rejected:
    provider, external_id, readings = interpret(data)
    assert (provider, external_id, len(readings)) == ("samsara", "281474980000021", 1)
    return readings[0]


def reason(data: bytes) -> str:
    found = only(data)
    assert isinstance(found, Rejected)
    return found.reason


def test_vehicle_of_the_feed_is_read_with_a_time_for_each_reading() -> None:
    data = vehicle(
        externalIds={"samsara.vin": "SYNTH000000000021"},
        evStateOfChargeMilliPercent=[
            {"time": "2026-01-01T12:00:07.400Z", "value": 57500},
            {"time": "2026-01-01T12:00:08.400Z", "value": 57499},
        ],
        gps=[
            {
                "time": TIME,
                "latitude": 52.09,
                "longitude": 5.11,
                "headingDegrees": 90,
                "speedMilesPerHour": 21.7,
            }
        ],
    )

    assert interpret(data) == Interpretation(
        "samsara",
        "281474980000021",
        [
            Reading(f"{BATTERY}.StateOfCharge.Displayed", AT + 400_000, 57.5),
            Reading(f"{BATTERY}.StateOfCharge.Displayed", AT + 1_400_000, 57.499),
            Reading("Vehicle.CurrentLocation", AT, (52.09, 5.11)),
            Reading("Vehicle.Speed", AT, 34.9227648),
        ],
    )


@pytest.mark.parametrize(
    ("stat", "sent", "signal", "kept"),
    [
        (SOC, "57500", f"{BATTERY}.StateOfCharge.Displayed", 57.5),
        ("obdOdometerMeters", "80766810", "Vehicle.TraveledDistance", 80766.81),
        ("evChargingStatus", "1", f"{BATTERY}.Charging.IsCharging", 0.0),
        ("evChargingStatus", "2", f"{BATTERY}.Charging.IsCharging", 1.0),
        ("engineStates", '"On"', "samsara.engineStates", "On"),
        ("ambientAirTemperatureMilliC", "21500", "samsara.ambientAirTemperatureMilliC", 21500.0),
        ("auxInput1", "true", "samsara.auxInput1", 1.0),
    ],
)
def test_each_type_becomes_its_signal_in_the_unit_of_the_catalogue(
    stat: str, sent: str, signal: str, kept: float | str
) -> None:
    assert only(value(sent, stat)) == Reading(signal, AT, kept)


@pytest.mark.parametrize("stat", [SOC, "obdOdometerMeters"])
@given(sent=st.decimals(-(10**12), 10**12, allow_nan=False))
def test_thousandths_are_exact_and_rounded_once(stat: str, sent: Decimal) -> None:
    found = only(value(f"{sent:E}", stat))

    assert isinstance(found, Reading)
    assert found.value == float(Fraction(sent) / 1_000)


@given(st.decimals(-(10**6), 10**6, allow_nan=False))
def test_miles_an_hour_become_kilometres_an_hour_exactly_and_are_rounded_once(
    speed: Decimal,
) -> None:
    found = only(value("0", "gps").replace(b'"value":0', f'"speedMilesPerHour":{speed:E}'.encode()))

    assert found == Reading("Vehicle.Speed", AT, float(Fraction(speed) * Fraction("1.609344")))


def test_what_is_absent_null_or_unknown_to_the_provider_is_no_reading() -> None:
    assert interpret(vehicle()).readings == []
    assert interpret(vehicle(gps=None, evChargingStatus=[])).readings == []
    assert (
        interpret(vehicle(gps=[{"time": TIME}], x=[{"time": TIME, "value": None}])).readings == []
    )
    assert interpret(value("0", "evChargingStatus")).readings == []


@pytest.mark.parametrize(
    "unknown",
    [
        {"a": 1},
        "text",
        5,
        [1, "a", None],
        [{"time": TIME, "value": {"a": 1}}],
        [{"codes": []}],
        [[]],
    ],
)
def test_unknown_types_without_plain_values_are_left_out(unknown: Any) -> None:
    assert interpret(vehicle(faultCodes=unknown)).readings == []


@pytest.mark.parametrize(
    ("stats", "why"),
    [
        ({SOC: 57500}, "not_a_list"),
        ({SOC: {"time": TIME, "value": 57500}}, "not_a_list"),
        ({SOC: [57500]}, "not_an_object"),
        ({SOC: [{"time": TIME, "value": True}]}, "not_a_number"),
        ({SOC: [{"time": TIME, "value": "57500"}]}, "not_a_number"),
        ({SOC: [{"value": 57500}]}, "no_time"),
        ({SOC: [{"time": TIME, "value": float("nan")}]}, "not_finite"),
        ({"evChargingStatus": [{"time": TIME, "value": 3}]}, "unknown_state"),
        ({"evChargingStatus": [{"time": TIME, "value": True}]}, "unknown_state"),
        ({"gps": [{"time": TIME, "latitude": 52.1}]}, "not_a_position"),
        ({"gps": [{"time": TIME, "latitude": True, "longitude": 5}]}, "not_a_position"),
        ({"x": [{"value": 1}]}, "no_time"),
        ({"x\n": [{"time": TIME, "value": 1}]}, "no_label"),
        ({"x" * 257: [{"time": TIME, "value": 1}]}, "no_label"),
        ({"x": [{"time": TIME, "value": "é" * 129}]}, "text_too_long"),
    ],
)
def test_wrong_part_is_rejected_beside_good_ones(stats: Mapping[str, Any], why: str) -> None:
    good = {"obdOdometerMeters": [{"time": TIME, "value": 1000}]}

    wrong, right = interpret(vehicle(**stats, **good)).readings

    assert isinstance(wrong, Rejected)
    assert (wrong.reason, right) == (why, Reading("Vehicle.TraveledDistance", AT, 1.0))


@pytest.mark.parametrize("sent", ["1e400", "1e99999999999999999999", "-Infinity", "9" * 400])
def test_number_that_float64_cannot_hold_is_rejected(sent: str) -> None:
    assert reason(value(sent, SOC)) == "not_finite"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"Service Unavailable", "not_json"),
        (b'{"gps":' + b"[" * 300, "not_json"),
        (b"null", "not_an_object"),
        (b"{}", "no_id"),
        (b'{"id":281474980000021}', "no_id"),
        (b'{"data":[],"pagination":{}}', "no_id"),
    ],
)
def test_what_is_no_vehicle_says_why(data: bytes, why: str) -> None:
    with pytest.raises(Uninterpretable) as refusal:
        interpret(data)

    assert refusal.value.reason == why


def test_interpreter_is_found_by_its_entry_point() -> None:
    assert interpreters()["samsara"] is interpret


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
samples = st.fixed_dictionaries(
    {},
    optional={
        "time": st.just(TIME) | json_values,
        **dict.fromkeys(("value", "latitude", "longitude", "speedMilesPerHour"), json_values),
    },
)
stats = st.dictionaries(
    st.sampled_from([SOC, "gps", "evChargingStatus", "engineStates"]) | st.text(max_size=4),
    json_values | st.lists(samples | json_values, max_size=3),
    max_size=3,
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
            assert found.signal.isprintable()
            assert EARLIEST <= found.observed <= LATEST
            parts = found.value if isinstance(found.value, tuple) else (found.value,)
            assert all(isfinite(part) for part in parts if isinstance(part, float))


@given(st.binary(max_size=100))
def test_any_bytes_are_interpreted_or_refused(data: bytes) -> None:
    holds(data)


@given(stats)
def test_any_record_is_interpreted_or_refused(found: Mapping[str, Any]) -> None:
    holds(json.dumps({"id": "b", **found}).encode())
