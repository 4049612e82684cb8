from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from core_api.keys import Role
from core_api.reads import Reads
from core_ingest.store.identities import vehicle_id

pytestmark = pytest.mark.anyio

SOC = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed"
WORKSPACE = "/v1/workspaces/acme"
NOON = "2026-01-31T12:00:00Z"
LATER = "2026-01-31T13:00:00Z"


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def path(vehicle: str = "bus_1") -> str:
    return f"{WORKSPACE}/vehicles/{vehicle_id('acme', 'viriciti', vehicle)}"


async def history(api: Any, key: dict[str, str], **parameters: Any) -> Any:
    asked = {"signal": SOC, "from": NOON, "to": LATER, **parameters}
    answer = await api.client.get(f"{path()}/history", params=asked, headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def link(url: str, asset: str, vehicle_of: str) -> None:
    """Make the vehicle of asset `vehicle_of` that of `asset` too."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE vehicle_assets SET vehicle = $1 "
            "WHERE asset = (SELECT id FROM assets WHERE external_id = $2)",
            vehicle_id("acme", "viriciti", vehicle_of),
            asset,
        )
    finally:
        await connection.close()


async def test_snapshot_serves_the_latest_value_of_each_signal_exactly(
    api: Any, messages: Any
) -> None:
    await api.outcomes(
        [
            messages.frame("odo", 80766.81),
            messages.frame("soc", 57.5),
            messages.frame("soc", 0.1 + 0.2, at(1)),
            messages.frame("gps", "52.0902|5.1101"),
            messages.frame("energy", 12.25),
        ],
        await api.key(Role.INGEST),
    )
    answer = await api.client.get(path(), headers=await api.key(Role.READ))

    assert answer.status_code == 200
    vehicle = answer.json()
    assert vehicle["vehicle"] == str(vehicle_id("acme", "viriciti", "bus_1"))
    assert vehicle["assets"] == [
        {
            "provider": "viriciti",
            "external_id": "bus_1",
            "revision": vehicle["assets"][0]["revision"],
        }
    ]
    by_signal = {reading["signal"]: reading for reading in vehicle["signals"]}
    assert by_signal[SOC] == {
        "signal": SOC,
        "value": 0.30000000000000004,
        "unit": "percent",
        "observed": "2026-01-31T12:00:01Z",
        "received": "2026-01-31T12:00:02Z",
        "quality": 0,
        "provider": "viriciti",
        "external_id": "bus_1",
    }
    assert '"value":80766.81,' in answer.text
    assert by_signal["Vehicle.CurrentLocation"]["value"] == {
        "latitude": 52.0902,
        "longitude": 5.1101,
    }
    assert by_signal["viriciti.energy"]["unit"] is None


async def test_vehicles_come_in_pages_that_follow_each_other(api: Any, messages: Any) -> None:
    names = [f"bus_{number}" for number in range(7)]
    await api.outcomes(
        [messages.frame("soc", 50.5, vehicle=name) for name in names],
        await api.key(Role.INGEST),
    )
    key = await api.key(Role.READ)

    pages = []
    after: dict[str, str] = {}
    while True:
        answer = await api.client.get(
            f"{WORKSPACE}/vehicles", params={"limit": 3, **after}, headers=key
        )
        pages.append([vehicle["vehicle"] for vehicle in answer.json()["vehicles"]])
        if answer.json()["next"] is None:
            break
        after = {"after": answer.json()["next"]}

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [id_ for page in pages for id_ in page] == sorted(
        str(vehicle_id("acme", "viriciti", name)) for name in names
    )


async def test_vehicles_are_found_by_the_ids_that_their_provider_knows(
    api: Any, messages: Any
) -> None:
    names = [f"bus_{number}" for number in range(4)]
    await api.outcomes(
        [messages.frame("soc", 50.5, vehicle=name) for name in names],
        await api.key(Role.INGEST),
    )
    await api.outcomes(
        [messages.frame("soc", 50.5, vehicle="bus_9", workspace="other")],
        await api.key(Role.INGEST, "other"),
    )
    key = await api.key(Role.READ)

    async def found(*external_ids: str, **more: Any) -> Any:
        parameters = {"external_id": external_ids, **more}
        answer = await api.client.get(f"{WORKSPACE}/vehicles", params=parameters, headers=key)
        return answer.json()

    ids = [str(vehicle_id("acme", "viriciti", name)) for name in names]
    both = sorted(ids[1:3])
    one = await found("bus_1")
    assert [vehicle["vehicle"] for vehicle in one["vehicles"]] == [ids[1]]
    first = await found("bus_1", "bus_2", limit=1)
    assert ([vehicle["vehicle"] for vehicle in first["vehicles"]], first["next"]) == (
        both[:1],
        both[0],
    )
    rest = await found("bus_1", "bus_2", limit=1, after=first["next"])
    assert ([vehicle["vehicle"] for vehicle in rest["vehicles"]], rest["next"]) == (both[1:], None)
    assert await found("bus_9") == {"vehicles": [], "next": None}


async def test_id_of_a_provider_in_place_of_ours_is_told_where_ours_are_listed(api: Any) -> None:
    answer = await api.client.get(f"{WORKSPACE}/vehicles/bus-1", headers=await api.key(Role.READ))

    assert answer.status_code == 422
    assert "vehicle is 'bus-1'" in answer.json()["detail"]
    assert "/v1/workspaces/<workspace>/vehicles lists the ids" in answer.json()["remedy"]
    assert "?external_id=" in answer.json()["remedy"]


async def test_vehicles_of_another_workspace_are_not_seen(api: Any, messages: Any) -> None:
    await api.outcomes([messages.frame("soc", 50.5)], await api.key(Role.INGEST))
    key = await api.key(Role.READ, "other")

    listed = await api.client.get("/v1/workspaces/other/vehicles", headers=key)
    direct = await api.client.get(path().replace("acme", "other"), headers=key)

    assert listed.json() == {"vehicles": [], "next": None}
    assert direct.status_code == 404
    assert direct.json()["type"] == "urn:telematics-ingress:problem:not-found"


async def test_linked_assets_merge_by_last_writer_and_each_reading_names_its_asset(
    api: Any, messages: Any, database_url: str
) -> None:
    await api.outcomes(
        [
            messages.frame("soc", 50.5, at(0), vehicle="bus_1"),
            messages.frame("odo", 10.5, at(5), vehicle="bus_1"),
            messages.frame("speed", 30.5, at(9), vehicle="bus_1"),
            messages.frame("soc", 60.5, at(1), vehicle="bus_2"),
            messages.frame("odo", 20.5, at(4), vehicle="bus_2"),
            messages.frame("speed", 40.5, at(9), vehicle="bus_2"),
        ],
        await api.key(Role.INGEST),
    )
    await link(database_url, "bus_2", "bus_1")
    key = await api.key(Role.READ)

    listed = (await api.client.get(f"{WORKSPACE}/vehicles", headers=key)).json()["vehicles"]

    assert [asset["external_id"] for asset in listed[0]["assets"]] == ["bus_1", "bus_2"]
    assert len(listed) == 1
    assert [
        (reading["signal"].rpartition(".")[2], reading["value"], reading["external_id"])
        for reading in listed[0]["signals"]
    ] == [
        ("Displayed", 60.5, "bus_2"),
        ("Speed", 40.5, "bus_2"),
        ("TraveledDistance", 10.5, "bus_1"),
    ]
    assert (await api.client.get(path("bus_2"), headers=key)).status_code == 404


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


async def test_history_of_linked_assets_has_one_winner_an_instant(
    api: Any, messages: Any, database_url: str
) -> None:
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
    await link(database_url, "bus_2", "bus_1")
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
    api: Any, messages: Any, database_url: str
) -> None:
    await api.outcomes([messages.frame("energy", 1.5)], await api.key(Role.INGEST))
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE signals SET path = 'Vehicle.E' WHERE name = 'viriciti.energy'")
    await connection.close()
    key = await api.key(Role.READ)

    snapshot = (await api.client.get(path(), headers=key)).json()
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

    answer = await api.client.get(
        f"{path()}/history", params=asked, headers=await api.key(Role.READ)
    )

    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "urn:telematics-ingress:problem:invalid-parameter"
    assert [error["parameter"] for error in problem["errors"]] == [parameter]
    assert rule in problem["errors"][0]["rule"]
    assert parameter in problem["detail"]
    assert problem["remedy"]


async def test_missing_parameter_is_named(api: Any) -> None:
    answer = await api.client.get(f"{path()}/history", headers=await api.key(Role.READ))

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"parameter": name, "value": None, "rule": "is required"}
        for name in ("signal", "from", "to")
    ]


async def test_page_after_the_end_of_the_range_is_empty(api: Any, messages: Any) -> None:
    await api.outcomes([messages.frame("soc", 1.5)], await api.key(Role.INGEST))

    page = await history(api, await api.key(Role.READ), after="9999-12-31T23:59:59.999999Z")

    assert (page["readings"], page["next"]) == ([], None)


async def test_accounting_has_every_message_in_one_term(api: Any, messages: Any) -> None:
    repeated = messages.frame("soc", 1.5)
    await api.outcomes(
        [repeated, repeated, messages.frame("soc", 1.5), messages.frame("odo", 2.5)],
        await api.key(Role.INGEST),
    )

    answer = await api.client.get(f"{WORKSPACE}/accounting", headers=await api.key(Role.READ))

    accounting = answer.json()
    assert answer.status_code == 200
    assert accounting["received"] == 3
    assert (accounting["accepted"], accounting["duplicate"]) == (2, 1)
    assert (accounting["redelivered"], accounting["unaccounted"]) == (1, 0)


async def test_statements_of_a_page_do_not_grow_with_the_page(
    api: Any, messages: Any, database_url: str
) -> None:
    """Set-wise: the same number of statements for one vehicle and for twenty."""
    await api.outcomes(
        [messages.frame("soc", 50.5, vehicle=f"bus_{number}") for number in range(20)],
        await api.key(Role.INGEST),
    )
    counted: list[int] = []
    for limit in (1, 20):
        statements: list[str] = []
        async with asyncpg.create_pool(
            database_url, min_size=1, max_size=1, init=_counting(statements)
        ) as pool:
            page = await Reads(pool, connections=1, seconds=10).vehicles(
                "acme", after=None, limit=limit
            )
        assert len(page.vehicles) == limit
        counted.append(len(statements))

    assert counted == [3, 3]


def _counting(statements: list[str]) -> Any:
    async def init(connection: Any) -> None:
        connection.add_query_logger(
            lambda record: statements.append(record.query) if "workspace" in record.query else None
        )

    return init
