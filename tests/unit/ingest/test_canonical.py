import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_ingest.providers.canonical import interpret
from core_ingest.reading import Interpretation, Reading, Rejected, Uninterpretable, micros

SPEED = "Vehicle.Speed"
NOON = "2026-01-31T12:00:00Z"
NOON_MICROS = micros(datetime(2026, 1, 31, 12, tzinfo=UTC))


def update(*readings: dict[str, Any], provider: str = "geotab") -> bytes:
    body = {"provider": provider, "externalid": "b8E2", "readings": readings}
    return json.dumps(body).encode()


def a_reading(value: Any, signal: str = SPEED, observed: str = NOON) -> dict[str, Any]:
    return {"signal": signal, "observed": observed, "value": value}


def test_readings_keep_their_order_and_their_asset() -> None:
    place = {"latitude": 52.1, "longitude": 5.1}

    found = interpret(update(a_reading(21.5), a_reading(place, "Vehicle.CurrentLocation")))

    assert found == Interpretation(
        "geotab",
        "b8E2",
        [
            Reading(SPEED, NOON_MICROS, 21.5),
            Reading("Vehicle.CurrentLocation", NOON_MICROS, (52.1, 5.1)),
        ],
    )


def test_signal_that_no_catalogue_knows_becomes_one_of_its_provider() -> None:
    (found,) = interpret(update(a_reading("open", "Door.Left"))).readings

    assert found == Reading("geotab.Door.Left", NOON_MICROS, "open")


def test_update_without_readings_is_empty() -> None:
    assert interpret(update()).readings == []


def test_text_that_looks_like_a_number_stays_a_text() -> None:
    (found,) = interpret(update(a_reading("57.5", "plate"))).readings

    assert isinstance(found, Reading)
    assert found.value == "57.5"


def test_offset_is_taken_into_account_and_fractions_are_floored() -> None:
    (found,) = interpret(
        update(a_reading(1, observed="2026-01-31T13:00:00.0000019+01:00"))
    ).readings

    assert isinstance(found, Reading)
    assert found.observed == NOON_MICROS + 1


def test_value_that_cannot_be_stored_is_rejected_beside_good_ones() -> None:
    first, second = interpret(update(a_reading("é" * 200, "plate"), a_reading(5))).readings

    assert isinstance(first, Rejected)
    assert first.reason == "text_too_long"
    assert second == Reading(SPEED, NOON_MICROS, 5.0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"provider":"geotab","externalid":"b8E2"}',
        update(provider="Not A Name"),
        update(a_reading(1, observed="yesterday")),
        update(a_reading(1, observed="0800-01-01T00:00:00Z")),
        update(a_reading({"latitude": 91, "longitude": 0})),
        update(a_reading("a\x00b", "plate")),
        update(a_reading(None)),
        update(a_reading(float("nan"))),
        update(a_reading(1)).replace(b'"value": 1', b'"value": 1e400'),
    ],
)
def test_update_that_is_not_of_its_shape_says_where(data: bytes) -> None:
    with pytest.raises(Uninterpretable) as refusal:
        interpret(data)

    assert refusal.value.reason == "not_canonical"
    assert ": " in refusal.value.detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.binary(max_size=100)
    | json_values.map(lambda found: json.dumps(found).encode())
    | st.lists(json_values, max_size=2).map(lambda found: update(*map(a_reading, found)))
)
def test_any_bytes_are_interpreted_or_refused(data: bytes) -> None:
    with suppress(Uninterpretable):
        assert isinstance(interpret(data), Interpretation)
