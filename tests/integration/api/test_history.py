"""A signal's past as the API serves it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core_api.keys import Role
from core_ingest.store.identities import vehicle_id

pytestmark = pytest.mark.anyio

SOC = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed"
NOON = "2026-01-31T12:00:00Z"
LATER = "2026-01-31T13:00:00Z"
BUS = f"/v1/workspaces/acme/vehicles/{vehicle_id('acme', 'viriciti', 'bus_1')}"


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=seconds)


async def history(api: Any, key: dict[str, str], **parameters: Any) -> Any:
    asked = {"signal": SOC, "from": NOON, "to": LATER, **parameters}
    answer = await api.client.get(f"{BUS}/history", params=asked, headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_history_is_half_open_ordered_and_comes_in_pages(api: Any, messages: Any) -> None:
    await api.outcomes(
        [messages.frame("soc", second + 0.5, at(second)) for second in (4, 0, 3, 1, 2, 3600)],
        await api.key(Role.INGEST),
    )
    key = await api.key(Role.READ)

    first = await history(api, key, limit=2)
    second = await history(api, key, limit=2, after=first["next"])
    third = await history(api, key, limit=2, after=second["next"])

    pages = [[reading["value"] for reading in page["readings"]] for page in (first, second, third)]
    assert pages == [[0.5, 1.5], [2.5, 3.5], [4.5]]
    assert third["next"] is None
    assert (first["signal"], first["unit"]) == (SOC, "percent")
    assert first["readings"][0] == {
        "value": 0.5,
        "observed": "2026-01-31T12:00:00Z",
        "received": "2026-01-31T12:00:01Z",
        "quality": 0,
        "provider": "viriciti",
        "external_id": "bus_1",
    }


async def test_history_returns_the_winner_of_each_instant(api: Any, messages: Any) -> None:
    signal = "viriciti.mode"
    await api.outcomes(
        [
            messages.frame("mode", 9.5, at(0)),
            messages.frame("mode", -1.5, at(0)),
            messages.frame("mode", "auto", at(1)),
            messages.frame("mode", 99.5, at(1)),
            messages.frame("mode", "Z", at(2)),
            messages.frame("mode", "a", at(2)),
            messages.frame("gps", "52.5|5.5", at(3)),
            messages.frame("gps", "52.5|5.25", at(3)),
            messages.frame("gps", "51.5|9.5", at(3)),
        ],
        await api.key(Role.INGEST),
    )
    key = await api.key(Role.READ)

    modes = await history(api, key, signal=signal)
    places = await history(api, key, signal="Vehicle.CurrentLocation")

    assert [reading["value"] for reading in modes["readings"]] == [9.5, "auto", "a"]
    assert [reading["value"] for reading in places["readings"]] == [
        {"latitude": 52.5, "longitude": 5.5}
    ]


async def test_history_of_linked_assets_has_one_winner_an_instant(api: Any, messages: Any) -> None:
    await api.outcomes(
        [
            messages.frame("soc", 1.5, at(0), vehicle="bus_1"),
            messages.frame("soc", 2.5, at(0), vehicle="bus_2"),
            messages.frame("soc", 4.5, at(1), vehicle="bus_1"),
            messages.frame("soc", 3.5, at(1), vehicle="bus_2"),
            messages.frame("soc", 5.5, at(2), vehicle="bus_1"),
            messages.frame("soc", 5.5, at(2), vehicle="bus_2"),
            messages.frame("soc", 6.5, at(3), vehicle="bus_2"),
        ],
        await api.key(Role.INGEST),
    )
    await api.link("bus_2", "bus_1")
    key = await api.key(Role.READ)

    whole = await history(api, key)
    first = await history(api, key, limit=3)
    rest = await history(api, key, limit=3, after=first["next"])

    assert [(reading["value"], reading["external_id"]) for reading in whole["readings"]] == [
        (2.5, "bus_2"),
        (4.5, "bus_1"),
        (5.5, "bus_2"),
        (6.5, "bus_2"),
    ]
    assert first["readings"] + rest["readings"] == whole["readings"]


async def test_label_catalogued_later_is_read_by_its_path_and_keeps_its_history(
    api: Any, messages: Any
) -> None:
    await api.outcomes([messages.frame("energy", 1.5)], await api.key(Role.INGEST))
    await api.pool.execute("UPDATE signals SET path = 'Vehicle.E' WHERE name = 'viriciti.energy'")
    key = await api.key(Role.READ)

    snapshot = (await api.client.get(BUS, headers=key)).json()
    past = await history(api, key, signal="Vehicle.E")

    assert [reading["signal"] for reading in snapshot["signals"]] == ["Vehicle.E"]
    assert [reading["value"] for reading in past["readings"]] == [1.5]


async def test_known_signal_without_values_has_an_empty_history(api: Any, messages: Any) -> None:
    await api.outcomes([messages.frame("soc", 1.5)], await api.key(Role.INGEST))

    assert (await history(api, await api.key(Role.READ), signal="Vehicle.Speed"))["readings"] == []


@pytest.mark.parametrize(
    ("parameters", "parameter", "rule"),
    [
        ({"limit": 0}, "limit", "greater than or equal to 1"),
        ({"limit": "many"}, "limit", "valid integer"),
        ({"from": "yesterday"}, "from", "RFC 3339"),
        ({"from": "2026-01-31T12:00:00"}, "from", "RFC 3339"),
        ({"to": "2026-01-31T12:00:00 01:00"}, "to", "%2B"),
        ({"to": NOON}, "to", "must be after from"),
        ({"to": "9999-12-31T23:59:59-12:00"}, "to", "years 1 to 9999"),
        ({"signal": "Vehicle.Sped"}, "signal", "catalogue"),
        ({"signal": "a\x00b"}, "signal", "pattern"),
        ({"after": "x"}, "after", "RFC 3339"),
    ],
)
async def test_bad_parameter_is_named_with_its_value_and_rule(
    api: Any, messages: Any, parameters: dict[str, Any], parameter: str, rule: str
) -> None:
    await api.outcomes([messages.frame("soc", 1.5)], await api.key(Role.INGEST))
    asked = {"signal": SOC, "from": NOON, "to": LATER, **parameters}

    answer = await api.client.get(f"{BUS}/history", params=asked, headers=await api.key(Role.READ))

    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "urn:telematics-ingress:problem:invalid-parameter"
    assert [error["parameter"] for error in problem["errors"]] == [parameter]
    assert rule in problem["errors"][0]["rule"]
    assert parameter in problem["detail"]
    assert problem["remedy"]


async def test_missing_parameter_is_named(api: Any) -> None:
    answer = await api.client.get(f"{BUS}/history", headers=await api.key(Role.READ))

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"parameter": name, "value": None, "rule": "is required"}
        for name in ("signal", "from", "to")
    ]


async def test_page_after_the_end_of_the_range_is_empty(api: Any, messages: Any) -> None:
    await api.outcomes([messages.frame("soc", 1.5)], await api.key(Role.INGEST))

    page = await history(api, await api.key(Role.READ), after="9999-12-31T23:59:59.999999Z")

    assert (page["readings"], page["next"]) == ([], None)
