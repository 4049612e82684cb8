from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_ingest.reading import Value
from core_ingest.signals.catalogue import CATALOGUE, GOOD, IMPLAUSIBLE, Signal, signal
from core_ingest.signals.labels import LABELS, former_names, uncatalogued

BATTERY = "Vehicle.Powertrain.TractionBattery"


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("Vehicle.TraveledDistance", "km"),
        ("Vehicle.Speed", "km/h"),
        ("Vehicle.CurrentLocation", "degrees"),
        (f"{BATTERY}.StateOfCharge.Displayed", "percent"),
        (f"{BATTERY}.CurrentCurrent", "A"),
        (f"{BATTERY}.CurrentVoltage", "V"),
        (f"{BATTERY}.CurrentPower", "W"),
        ("Vehicle.Powertrain.Range", "m"),
        (f"{BATTERY}.Charging.IsCharging", None),
    ],
)
def test_signal_has_the_unit_of_its_vss_path(path: str, unit: str | None) -> None:
    assert signal(path) is CATALOGUE[path]
    assert signal(path).unit == unit


def test_uncatalogued_signal_has_no_unit_and_every_number_is_plausible() -> None:
    found = signal("viriciti.energy")

    assert found == Signal("viriciti.energy", None)
    assert found.quality(1e300) == GOOD
    assert not found.insignificant(1.0, 1.0000001)


@pytest.mark.parametrize(
    ("path", "value", "quality"),
    [
        (f"{BATTERY}.StateOfCharge.Displayed", 0.0, GOOD),
        (f"{BATTERY}.StateOfCharge.Displayed", 100.0, GOOD),
        (f"{BATTERY}.StateOfCharge.Displayed", 100.1, IMPLAUSIBLE),
        (f"{BATTERY}.StateOfCharge.Displayed", -0.1, IMPLAUSIBLE),
        (f"{BATTERY}.CurrentVoltage", 0.0, IMPLAUSIBLE),
        (f"{BATTERY}.CurrentVoltage", 661.2, GOOD),
        (f"{BATTERY}.CurrentPower", -350_000.0, GOOD),
        ("Vehicle.Speed", 300.0, IMPLAUSIBLE),
        ("Vehicle.TraveledDistance", -1.0, IMPLAUSIBLE),
        (f"{BATTERY}.Charging.IsCharging", 1.0, GOOD),
        (f"{BATTERY}.Charging.IsCharging", 2.0, IMPLAUSIBLE),
        ("Vehicle.CurrentLocation", (90.0, -180.0), GOOD),
        ("Vehicle.CurrentLocation", (90.1, 0.0), IMPLAUSIBLE),
        ("Vehicle.CurrentLocation", (0.0, 180.1), IMPLAUSIBLE),
        ("Vehicle.Speed", "fast", GOOD),
    ],
)
def test_implausible_value_is_flagged(path: str, value: Value, quality: int) -> None:
    assert CATALOGUE[path].quality(value) == quality


@pytest.mark.parametrize(
    ("value", "insignificant"),
    [
        ((52.0, 5.0), True),
        ((52.00002, 5.0), True),  # 2.2 m north
        ((52.00003, 5.0), False),  # 3.3 m
        ((52.0, 5.00004), True),  # 2.7 m east, as degrees are shorter there
        ((52.0, 5.00005), False),  # 3.4 m
        (52.0, False),
        ("52.0|5.0", False),
    ],
)
def test_deadband_of_a_position_is_in_metres(value: Value, insignificant: bool) -> None:
    assert CATALOGUE["Vehicle.CurrentLocation"].insignificant(value, (52.0, 5.0)) is insignificant


def test_text_is_insignificant_only_when_it_is_the_same() -> None:
    door = signal("viriciti.door")

    assert door.insignificant("open", "open")
    assert not door.insignificant("open", "shut")


@given(
    st.sampled_from(sorted(CATALOGUE)),
    st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2),
)
def test_every_value_has_a_quality_and_is_insignificant_against_itself(
    path: str, value: Value
) -> None:
    assert CATALOGUE[path].quality(value) in {GOOD, IMPLAUSIBLE}
    assert CATALOGUE[path].insignificant(value, value)


def test_bounds_and_deadbands_make_sense() -> None:
    for path, found in CATALOGUE.items():
        assert found.path == path
        assert -inf <= found.low < found.high <= inf
        assert found.deadband > 0


def test_label_that_was_catalogued_later_is_known_by_its_former_name() -> None:
    assert uncatalogued("viriciti", "power") == "viriciti.power"
    assert former_names("viriciti", f"{BATTERY}.CurrentPower") == ["viriciti.power"]
    assert former_names("viriciti", "viriciti.energy") == []
    assert former_names("geotab", f"{BATTERY}.CurrentPower") == []


def test_labels_lead_into_the_catalogue() -> None:
    assert all(label.signal in CATALOGUE for labels in LABELS.values() for label in labels.values())
