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
from core_ingest.providers.rfms import interpret
from core_ingest.reading import EARLIEST, LATEST, Interpretation, Reading, Rejected, Uninterpretable

BATTERY = "Vehicle.Powertrain.TractionBattery"
CREATED = "2026-03-02T00:44:44.000Z"
AT = 1_772_412_284_000_000
FIX = {"latitude": 52.1, "longitude": 5.1, "heading": 30, "speed": 11.2}


def status(snapshot: Any = None, **fields: Any) -> bytes:
    found = {"vin": "XLRTEST0000000001", "createdDateTime": CREATED, **fields}
    return json.dumps(found if snapshot is None else {**found, "snapshotData": snapshot}).encode()


def readings(snapshot: Any = None, **fields: Any) -> list[Reading | Rejected]:
    provider, external_id, found = interpret(status(snapshot, **fields))
    assert (provider, external_id) == ("rfms", "XLRTEST0000000001")
    return found


def test_status_is_read_with_the_position_at_its_own_time() -> None:
    data = status(
        {
            "gnssPosition": {**FIX, "positionDateTime": "2026-03-02T00:44:40.000Z"},
            "wheelBasedSpeed": 40.5,
            "hybridBatteryPackRemainingCharge": 57.5,
        },
        triggerType={"triggerType": "TIMER", "context": "RFMS"},
        receivedDateTime="2026-03-02T00:47:18.000Z",
        hrTotalVehicleDistance=400669415,
    )

    assert interpret(data) == Interpretation(
        "rfms",
        "XLRTEST0000000001",
        [
            Reading("Vehicle.TraveledDistance", AT, 400669.415),
            Reading("Vehicle.Speed", AT, 40.5),
            Reading(f"{BATTERY}.StateOfCharge.Displayed", AT, 57.5),
            Reading("Vehicle.CurrentLocation", AT - 4_000_000, (52.1, 5.1)),
            Reading("Vehicle.Speed", AT - 4_000_000, 11.2),
        ],
    )


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("NOT_CHARGING", 0.0),
        ("CHARGING", 1.0),
        ("CHARGING_AC", 1.0),
        ("CHARGING_DC", 1.0),
        ("Charging DC", 1.0),
        ("not charging", 0.0),
        ("ERROR", 0.0),
    ],
)
def test_text_of_the_charging_status_becomes_the_charging_signal(sent: str, kept: float) -> None:
    assert readings({"batteryPackChargingStatus": sent}) == [
        Reading(f"{BATTERY}.Charging.IsCharging", AT, kept)
    ]


def test_charging_status_that_is_not_available_is_no_reading() -> None:
    assert readings({"batteryPackChargingStatus": "NOT_AVAILABLE"}) == []


@pytest.mark.parametrize(
    "sent",
    [250000, {"total": 900000, "fuel": 650000, "batteryPack": 250000}, {"total": 250000},
     {"total": 250000, "batteryPack": None}],
)  # fmt: skip
def test_distance_to_empty_is_that_of_the_battery(sent: Any) -> None:
    assert readings({"estimatedDistanceToEmpty": sent}) == [
        Reading("Vehicle.Powertrain.Range", AT, 250000.0)
    ]


@pytest.mark.parametrize("sent", [{}, {"total": 650000, "fuel": 650000}, {"gas": 1}, None, [1]])
def test_distance_to_empty_without_a_battery_is_left_out(sent: Any) -> None:
    assert readings({"estimatedDistanceToEmpty": sent}) == []


@given(st.decimals(-(10**12), 10**12, allow_nan=False))
def test_metres_become_kilometres_exactly_and_are_rounded_once(metres: Decimal) -> None:
    data = status(hrTotalVehicleDistance=-7).replace(b"-7", f"{metres:E}".encode())

    (found,) = interpret(data).readings

    assert isinstance(found, Reading)
    assert found.value == float(Fraction(metres) / 1_000)


def test_position_without_a_time_of_its_own_is_as_old_as_the_status() -> None:
    assert readings({"gnssPosition": FIX}) == [
        Reading("Vehicle.CurrentLocation", AT, (52.1, 5.1)),
        Reading("Vehicle.Speed", AT, 11.2),
    ]


@pytest.mark.parametrize("time", [None, CREATED, "2026-03-02T01:44:44+01:00"])
def test_of_two_speeds_at_one_instant_that_of_the_wheels_is_kept(time: str | None) -> None:
    snapshot = {"gnssPosition": {**FIX, "positionDateTime": time}, "wheelBasedSpeed": 40.5}

    assert readings(snapshot) == [
        Reading("Vehicle.Speed", AT, 40.5),
        Reading("Vehicle.CurrentLocation", AT, (52.1, 5.1)),
    ]


def test_other_plain_fields_become_uncatalogued_signals_and_the_rest_is_left_out() -> None:
    snapshot = {
        "ambientAirTemperature": 4.5,
        "parkingBrakeSwitch": False,
        "driver1WorkingState": "DRIVE",
        "driver2Id": {"tachoDriverIdentification": {}},
        "trailers": [{"trailerNo": 1}],
        "engineSpeed": None,
    }

    assert readings(snapshot, doorStatus=[{}], totalElectricEnergyUsed=1234) == [
        Reading("rfms.totalElectricEnergyUsed", AT, 1234.0),
        Reading("rfms.ambientAirTemperature", AT, 4.5),
        Reading("rfms.parkingBrakeSwitch", AT, 0.0),
        Reading("rfms.driver1WorkingState", AT, "DRIVE"),
    ]


def test_missing_fields_are_no_readings() -> None:
    assert readings() == []
    assert readings({}) == []
    assert readings({"gnssPosition": {}}) == []


def test_status_without_its_time_keeps_a_position_that_has_one() -> None:
    fix = {"latitude": 52.1, "longitude": 5.1, "positionDateTime": CREATED}
    data = status({"gnssPosition": fix, "wheelBasedSpeed": 40.5}, createdDateTime=None)

    wrong, right = interpret(data).readings

    assert isinstance(wrong, Rejected)
    assert wrong.reason == "no_time"
    assert right == Reading("Vehicle.CurrentLocation", AT, (52.1, 5.1))


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        ([], "not_an_object"),
        ("x", "not_an_object"),
        ({"gnssPosition": "52|5"}, "not_an_object"),
        ({"gnssPosition": {"latitude": 52.1}}, "not_a_position"),
        ({"gnssPosition": {"latitude": "52", "longitude": 5}}, "not_a_position"),
        ({"gnssPosition": {"speed": 1, "positionDateTime": "yesterday"}}, "no_time"),
        ({"wheelBasedSpeed": True}, "not_a_number"),
        ({"wheelBasedSpeed": float("inf")}, "not_finite"),
        ({"hybridBatteryPackRemainingCharge": "57.5"}, "not_a_number"),
        ({"batteryPackChargingStatus": "MAYBE"}, "unknown_state"),
        ({"batteryPackChargingStatus": 1}, "unknown_state"),
        ({"estimatedDistanceToEmpty": {"batteryPack": "far"}}, "not_a_number"),
        ({"a\n": 1}, "no_label"),
        ({"note": "é" * 129}, "text_too_long"),
    ],
)
def test_wrong_part_is_rejected_beside_good_ones(snapshot: Any, why: str) -> None:
    right, wrong = readings(snapshot, hrTotalVehicleDistance=1000)

    assert isinstance(wrong, Rejected)
    assert (right, wrong.reason) == (Reading("Vehicle.TraveledDistance", AT, 1.0), why)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "not_json"),
        (b'{"snapshotData":' * 300, "not_json"),
        (b"[]", "not_an_object"),
        (b'{"createdDateTime":"2026-03-02T00:44:44.000Z"}', "no_vin"),
        (b'{"vehicleStatusResponse":{"vehicleStatuses":[]}}', "no_vin"),
        (b'{"vin":"a\\u0007"}', "no_vin"),
    ],
)
def test_what_is_no_status_says_why(data: bytes, why: str) -> None:
    with pytest.raises(Uninterpretable) as refusal:
        interpret(data)

    assert refusal.value.reason == why


def test_interpreter_is_found_by_its_entry_point() -> None:
    assert interpreters()["rfms"] is interpret


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
fixes = st.fixed_dictionaries(
    {},
    optional={
        "positionDateTime": st.just(CREATED) | json_values,
        **dict.fromkeys(("latitude", "longitude", "speed"), json_values),
    },
)
snapshots = st.fixed_dictionaries(
    {},
    optional={
        "gnssPosition": fixes | json_values,
        "estimatedDistanceToEmpty": json_values,
        "batteryPackChargingStatus": json_values,
        "wheelBasedSpeed": json_values,
    },
)
statuses = st.fixed_dictionaries(
    {"vin": st.just("b")},
    optional={
        "createdDateTime": st.just(CREATED) | json_values,
        "hrTotalVehicleDistance": json_values,
        "snapshotData": snapshots | json_values,
    },
)


def holds(data: bytes) -> None:
    """Interpret to what can be stored, or refuse."""
    try:
        _, external_id, found = interpret(data)
    except Uninterpretable:
        return
    assert external_id.isprintable()
    for each in found:
        if isinstance(each, Reading):
            assert each.signal.isprintable()
            assert EARLIEST <= each.observed <= LATEST
            parts = each.value if isinstance(each.value, tuple) else (each.value,)
            assert all(isfinite(part) for part in parts if isinstance(part, float))


@given(st.binary(max_size=100))
def test_any_bytes_are_interpreted_or_refused(data: bytes) -> None:
    holds(data)


@given(statuses)
def test_any_status_is_interpreted_or_refused(found: Mapping[str, Any]) -> None:
    holds(json.dumps(found).encode())
