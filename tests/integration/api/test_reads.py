"""Vehicles and their latest values as the API serves them, and the accounting."""

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


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def path(vehicle: str = "bus_1") -> str:
    return f"{WORKSPACE}/vehicles/{vehicle_id('acme', 'viriciti', vehicle)}"


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
    api: Any, messages: Any
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
    await api.link("bus_2", "bus_1")
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
