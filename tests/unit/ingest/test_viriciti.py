import json
from collections.abc import Mapping
from fractions import Fraction
from importlib.metadata import entry_points
from math import copysign, isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_ingest.providers import interpreters
from core_ingest.providers.viriciti import interpret
from core_ingest.reading import (
    EARLIEST,
    LATEST,
    Interpretation,
    Reading,
    Rejected,
    Uninterpretable,
)
from core_ingest.signals.catalogue import CATALOGUE
from core_ingest.signals.labels import LABELS

BATTERY = "Vehicle.Powertrain.TractionBattery"
TIME = 1_700_000_000_000


def frame(value: str, label: str = "soc", time: str = str(TIME)) -> bytes:
    """Return a frame; value and time are JSON as it travels."""
    return (
        f'{{"type":"vehicles","payload":{{"vid":"arcc_004","label":{json.dumps(label)},'
        f'"value":{value},"time":{time}}}}}'
    ).encode()


def only(data: bytes) -> Reading | Rejected:
    provider, external_id, readings = interpret(data)
    assert (provider, external_id) == ("viriciti", "arcc_004")
    assert len(readings) == 1
    return readings[0]


def reading(data: bytes) -> Reading:
    found = only(data)
    assert isinstance(found, Reading)
    return found


def rejection(data: bytes) -> str:
    found = only(data)
    assert isinstance(found, Rejected)
    return found.reason


@pytest.mark.parametrize(
    ("label", "sent", "signal", "kept"),
    [
        ("odo", "80766.81", "Vehicle.TraveledDistance", 80766.81),
        ("soc", "57.5", f"{BATTERY}.StateOfCharge.Displayed", 57.5),
        ("speed", "4.39844", "Vehicle.Speed", 4.39844),
        ("current", "-22.7", f"{BATTERY}.CurrentCurrent", -22.7),
        ("voltage", "591.6", f"{BATTERY}.CurrentVoltage", 591.6),
        ("power", "57.123", f"{BATTERY}.CurrentPower", 57123.0),
        ("power", "-0.001", f"{BATTERY}.CurrentPower", -1.0),
        ("analyses.estimated_range", "123.4567", "Vehicle.Powertrain.Range", 123456.7),
        ("gps", '"52.0907|5.1214"', "Vehicle.CurrentLocation", (52.0907, 5.1214)),
        ("energy", "1.5", "viriciti.energy", 1.5),
        ("energy_per_day", "12", "viriciti.energy_per_day", 12.0),
        ("driver", '"P. Puk"', "viriciti.driver", "P. Puk"),
        ("doors", "true", "viriciti.doors", 1.0),
        ("doors", "false", "viriciti.doors", 0.0),
        ("note", '""', "viriciti.note", ""),
    ],
)
def test_each_label_becomes_its_signal_in_the_unit_of_the_catalogue(
    label: str, sent: str, signal: str, kept: float | str | tuple[float, float]
) -> None:
    assert reading(frame(sent, label)) == Reading(signal, TIME * 1_000, kept)


def test_every_label_of_the_notes_is_catalogued() -> None:
    labels = LABELS["viriciti"]

    assert set(labels) == {
        "odo", "soc", "speed", "current", "voltage", "power", "analyses.estimated_range", "gps",
    }  # fmt: skip
    assert {label.signal for label in labels.values()} <= CATALOGUE.keys()


def test_interpreter_is_found_by_its_entry_point() -> None:
    assert interpreters()["viriciti"] is interpret
    assert "viriciti" in entry_points(group="telematics_ingress.interpreters").names


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None))
def test_kilowatts_become_watts_exactly_and_are_rounded_once(power: Any) -> None:
    try:
        exactly = float(Fraction(power) * 1_000)
    except OverflowError:
        assert rejection(frame(f"{power:E}", "power")) == "not_finite"
    else:
        assert reading(frame(f"{power:E}", "power")).value == exactly


def test_a_digit_however_far_behind_decides_a_tie() -> None:
    tie = Fraction(2**53 + 1, 1_000)  # in W halfway between two float64
    digits = f"{2**53 // 1_000}.{(2**53 + 1) % 1_000:03}"
    assert Fraction(digits) == tie

    assert reading(frame(digits, "power")).value == float(2**53)
    assert reading(frame(f"{digits}{'0' * 2_000}1", "power")).value == float(2**53 + 2)


@pytest.mark.parametrize("label", ["soc", "power", "energy"])
@pytest.mark.parametrize("sent", ["-0", "-0.0", "-1e-400", "-1e-99999999999999999999"])
def test_minus_zero_is_stored_as_zero(label: str, sent: str) -> None:
    value = reading(frame(sent, label)).value

    assert isinstance(value, float)
    assert (value, copysign(1, value)) == (0.0, 1.0)


def test_minus_zero_in_a_position_is_stored_as_zero() -> None:
    value = reading(frame('"-0.0|-0"', "gps")).value

    assert isinstance(value, tuple)
    assert [copysign(1, part) for part in value] == [1.0, 1.0]


@pytest.mark.parametrize("label", ["soc", "power", "energy"])
@pytest.mark.parametrize(
    "sent",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 400, "1e99999999999999999999"],
)
def test_number_that_float64_cannot_hold_is_rejected(label: str, sent: str) -> None:
    assert rejection(frame(sent, label)) == "not_finite"


@pytest.mark.parametrize("label", ["soc", "power"])
def test_huge_integer_is_rounded_to_the_nearest_float64(label: str) -> None:
    factor = 1_000 if label == "power" else 1

    value = reading(frame(str(2**60 + 1), label)).value

    assert value == float((2**60 + 1) * factor)


@pytest.mark.parametrize("sent", ["true", '"57.5"', "[1]", '{"a":1}', '""'])
@pytest.mark.parametrize("label", ["soc", "power"])
def test_catalogued_label_takes_numbers_only(label: str, sent: str) -> None:
    assert rejection(frame(sent, label)) == "not_a_number"


@pytest.mark.parametrize("sent", ["[1]", "[]", '{"a":1}'])
def test_uncatalogued_label_takes_no_lists_or_objects(sent: str) -> None:
    assert rejection(frame(sent, "energy")) == "unsupported_value"


@pytest.mark.parametrize("label", ["soc", "gps", "energy"])
def test_null_and_absent_values_are_no_readings(label: str) -> None:
    assert interpret(frame("null", label)).readings == []
    absent = {"type": "vehicles", "payload": {"vid": "arcc_004", "label": label, "time": TIME}}
    assert interpret(json.dumps(absent).encode()).readings == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("52.0907|5.1214", (52.0907, 5.1214)),
        ("-33.9|-70.6", (-33.9, -70.6)),
        ("52|5", (52.0, 5.0)),
        ("0|0", (0.0, 0.0)),
        ("500|5", (500.0, 5.0)),
    ],
)
def test_position_is_latitude_then_longitude(sent: str, kept: tuple[float, float]) -> None:
    assert reading(frame(json.dumps(sent), "gps")).value == kept


@pytest.mark.parametrize(
    "sent",
    [
        '""', '"|"', '"52"', '"52|"', '"|5"', '"52,5"', '"52|5|6"', '"a|b"', '"nan|5"', '"52|inf"',
        '"5_2|5"', '"1e400|5"', "52.1", "true", "[52,5]", '{"lat":52}',
    ],
)  # fmt: skip
def test_what_is_no_position_is_rejected(sent: str) -> None:
    assert rejection(frame(sent, "gps")) == "not_a_position"


@pytest.mark.parametrize(
    ("time", "observed"),
    [
        ("0", 0),
        ("-1", -1_000),
        ("1700000000000.9999", 1_700_000_000_000_999),
        ("1700000000000.0009999999999999999999", 1_700_000_000_000_000),
        ("-0.0000001", -1),
        ("-1e-9999999", -1),
        ("1.7e12", 1_700_000_000_000_000),
        (str(EARLIEST // 1_000 + 1), EARLIEST + 999),
        ("253402300799999.9985", LATEST),
    ],
)
def test_time_is_floored_to_microseconds(time: str, observed: int) -> None:
    assert reading(frame("1", time=time)).observed == observed


@given(st.integers(-(10**13), 10**13), st.integers(0, 10**9 - 1))
def test_time_with_any_fraction_is_floored(whole: int, billionths: int) -> None:
    time = f"{whole}.{billionths:09}"

    assert reading(frame("1", time=time)).observed == Fraction(time) * 1_000 // 1


@pytest.mark.parametrize(
    "time",
    [
        str(EARLIEST // 1_000), "253402300799999.9999", "253402300800000", "253402300800000.0", "9" * 400, "1e400",
        "-1e300", "1e1000000", "-1.7e25340230080000012", "NaN", "Infinity", "1e99999999999999999999",
    ],
)  # fmt: skip
def test_time_outside_of_the_calendar_is_rejected(time: str) -> None:
    assert rejection(frame("1", time=time)) == "time_out_of_range"


@pytest.mark.parametrize("time", ["null", "true", '"1700000000000"', "[]", "{}"])
def test_time_that_is_no_number_is_rejected(time: str) -> None:
    assert rejection(frame("1", time=time)) == "no_time"


@pytest.mark.parametrize("kind", ["acl", "error"])
def test_frames_about_the_connection_hold_no_readings(kind: str) -> None:
    data = json.dumps({"type": kind, "payload": {"message": "no access"}}).encode()

    assert interpret(data) == Interpretation("viriciti", "", [])


@pytest.mark.parametrize("kind", ["chargestations", "incidents", "", None, 5, [], {}, ["acl"]])
def test_frames_of_other_types_are_not_interpreted(kind: Any) -> None:
    data = json.dumps({"type": kind, "payload": {"vid": "a", "label": "b", "value": 1}}).encode()

    with pytest.raises(Uninterpretable) as refusal:
        interpret(data)

    assert refusal.value.reason == "unsupported_type"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"value":' + b"1" * 5_000 + b"}", "not_json"),
        (frame('"\\ud800"', "driver"), "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"type":"vehicles"}', "no_payload"),
        (b'{"type":"vehicles","payload":[]}', "no_payload"),
        (b'{"type":"vehicles","payload":{"label":"soc"}}', "no_vid"),
        (b'{"type":"vehicles","payload":{"vid":"","label":"soc"}}', "no_vid"),
        (b'{"type":"vehicles","payload":{"vid":7,"label":"soc"}}', "no_vid"),
        (b'{"type":"vehicles","payload":{"vid":"a\\u0000","label":"soc"}}', "no_vid"),
        (b'{"type":"vehicles","payload":{"vid":"a\\ud800","label":"soc"}}', "not_json"),
        (b'{"type":"vehicles","payload":{"vid":"a"}}', "no_label"),
        (b'{"type":"vehicles","payload":{"vid":"a","label":"s\\noc"}}', "no_label"),
        (b'{"type":"vehicles","payload":{"vid":"a","label":"' + b"x" * 257 + b'"}}', "no_label"),
    ],
)
def test_message_that_cannot_be_understood_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(Uninterpretable) as refusal:
        interpret(data)

    assert refusal.value.reason == reason
    assert refusal.value.detail


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a\\u0000b", "unstorable_text"), ("é" * 129, "text_too_long")],
)
def test_text_that_cannot_be_stored_is_rejected(text: str, reason: str) -> None:
    assert rejection(frame(f'"{text}"', "driver")) == reason


def test_text_of_256_bytes_is_kept_and_control_characters_too() -> None:
    assert reading(frame(json.dumps("é" * 128), "driver")).value == "é" * 128
    assert reading(frame('"a\\tb"', "driver")).value == "a\tb"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
frames = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["vehicles", "acl", "chargestations"]) | json_values,
        "payload": json_values
        | st.fixed_dictionaries(
            {},
            optional={
                "vid": st.sampled_from(["arcc_004"]) | json_values,
                "label": st.sampled_from([*LABELS["viriciti"], "energy"]) | json_values,
                "value": json_values,
                "time": st.integers(0, 2**45) | json_values,
            },
        ),
    },
)


def holds(data: bytes) -> None:
    """Interpret to what can be stored, or refuse."""
    try:
        _, external_id, readings = interpret(data)
    except Uninterpretable:
        return
    assert "\x00" not in external_id
    external_id.encode()
    for found in readings:
        if isinstance(found, Reading):
            assert EARLIEST <= found.observed <= LATEST
            parts = found.value if isinstance(found.value, tuple) else (found.value,)
            assert all(isfinite(part) for part in parts if isinstance(part, float))


@given(st.binary(max_size=200))
def test_any_bytes_are_interpreted_or_refused(data: bytes) -> None:
    holds(data)


@given(frames)
def test_any_frame_is_interpreted_or_refused(message: Mapping[str, Any]) -> None:
    holds(json.dumps(message).encode())


@given(st.data())
def test_damaged_frame_is_interpreted_or_refused(draw: st.DataObject) -> None:
    data = bytearray(frame('"52.1|5.1"', "gps") + frame("-57.5e3", "power"))
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    data[start:end] = draw.draw(st.binary(max_size=4))

    holds(bytes(data))
