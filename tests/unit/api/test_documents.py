from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from core_api.documents import Reading, vehicles
from core_ingest.reading import columns, order

VEHICLE = UUID("01930000-0000-8000-8000-000000000001")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def row(value: Any, external_id: str = "bus_1", **more: Any) -> dict[str, Any]:
    num, lon, text = (None, None, None) if value is None else columns(value)
    return {
        "vehicle": VEHICLE,
        "provider": "viriciti",
        "external_id": external_id,
        "revision": 1,
        "signal": None if value is None else "viriciti.x",
        "observed": NOON,
        "received": NOON,
        "num": num,
        "lon": lon,
        "text": text,
        "quality": 0,
        **more,
    }


def winner(rows: Iterable[dict[str, Any]]) -> Any:
    [vehicle] = vehicles(rows)
    [reading] = vehicle.signals
    return reading


def test_asset_without_values_is_a_vehicle_without_signals() -> None:
    [vehicle] = vehicles([row(None)])

    assert [asset.external_id for asset in vehicle.assets] == ["bus_1"]
    assert vehicle.signals == []


def test_later_instant_wins_over_any_value() -> None:
    later = NOON.replace(minute=1)

    assert winner([row("text"), row(1.5, observed=later)]).value == 1.5


def test_between_equal_values_of_one_instant_the_greatest_asset_wins() -> None:
    rows = [row(1.5, "bus_1"), row(1.5, "bus_3"), row(1.5, "bus_2")]

    for arranged in permutations(rows):
        assert winner(arranged).external_id == "bus_3"


VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
    ),
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_winner_of_an_instant_is_the_greatest_by_the_fixed_order(values: list[Any]) -> None:
    served = winner([row(value, f"bus_{index}") for index, value in enumerate(values)]).value

    greatest = max(values, key=order)
    if isinstance(greatest, tuple):
        assert (served.latitude, served.longitude) == greatest
    else:
        assert served == greatest


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_reads_back_exactly(number: float) -> None:
    reading = winner([row(number + 0.0)])

    assert Reading.model_validate_json(reading.model_dump_json()).value == number
