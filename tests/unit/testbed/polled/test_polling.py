"""Clients that know no more than the documentation, on a clock that moves when they say so."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress_testbed.fleet import START, FleetPlan, fleet_frames
from ingress_testbed.polled import geotab, rfms, samsara
from ingress_testbed.polled.app import Manner, Simulation, application
from ingress_testbed.polled.exchange import instant
from ingress_testbed.polled.limits import Rate
from ingress_testbed.polled.vehicles import Provider
from ingress_testbed.recordings import Frame

HOURS = 0.3
FRAMES = list(fleet_frames(FleetPlan(vehicles=3, hours=HOURS, seed=4)))
END = START + int(HOURS * 3_600_000) + 3_600_000
FAST = Rate(1_000_000, 1)
TYPES = "evStateOfChargeMilliPercent,obdOdometerMeters,evChargingStatus"
POLLS = st.lists(st.integers(START - 1_000, END), max_size=5).map(sorted).map(lambda o: [*o, END])
PAGES = st.integers(1, 400)


class Wristwatch:
    def __init__(self, now: int = START - 1_000) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now / 1000

    def epoch_ms(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


def simulation(watch: Wristwatch, page: int = 100, seed: int = 1) -> Simulation:
    manner = Manner(
        geotab=geotab.GeotabManner(authenticate=FAST, get_feed=FAST),
        samsara=samsara.SamsaraManner(page=page, token=FAST, organisation=FAST),
        rfms=rfms.RfmsManner(page=page, requests=Rate(1_000_000, 60, aligned=True)),
        seed=seed,
    )
    return Simulation(FRAMES, manner, clock=watch)


class Session:
    """A client of the simulation; requests are made one after the other."""

    def __init__(self, simulated: Simulation) -> None:
        self._app = application(simulated)

    def send(self, method: str, path: str, **more: Any) -> Any:
        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
                return await client.request(method, path, **more)

        response = asyncio.run(exchange())
        assert response.status_code == 200, response.text
        return response.json()

    def call(self, method: str, **params: Any) -> Any:
        return self.send("POST", geotab.PATH, json={"method": method, "params": params})["result"]

    def get(self, path: str, **query: str) -> Any:
        return self.send("GET", path, params=query, headers={"Authorization": "Bearer simulated"})


def fed(
    session: Session, entity: str, watch: Wristwatch, polls: list[int], limit: int
) -> Iterator[Any]:
    who = {"userName": "poller", "password": "simulated", "database": "simulated"}
    credentials = session.call("Authenticate", **who)["credentials"]
    common = {"typeName": entity, "credentials": credentials, "resultsLimit": limit}
    version = session.call("GetFeed", **common)["toVersion"]
    for watch.now in polls:
        while True:
            page = session.call("GetFeed", **common, fromVersion=version)
            yield from page["data"]
            version = page["toVersion"]
            if len(page["data"]) < limit:
                break


@settings(max_examples=10)
@given(POLLS, st.integers(20, 400))
def test_geotab_gives_each_record_once_however_it_is_paged(polls: list[int], limit: int) -> None:
    watch = Wristwatch()
    simulated = simulation(watch)
    for entity in ("StatusData", "LogRecord"):
        watch.now = START - 1_000
        found = list(fed(Session(simulated), entity, watch, polls, limit))
        expected = [one for one in simulated.geotab.timeline.records if one.kind == entity]
        assert [one["dateTime"] for one in found] == [instant(one.event) for one in expected]
        assert len({one["id"] for one in found}) == len(expected) > 0


@settings(max_examples=10)
@given(POLLS, st.integers(10, 400))
def test_samsara_gives_each_reading_once_however_it_is_paged(polls: list[int], page: int) -> None:
    watch = Wristwatch()
    simulated = simulation(watch, page)
    session = Session(simulated)
    cursor = session.get(samsara.PATH, types=TYPES)["pagination"]["endCursor"]
    found = []
    for watch.now in polls:
        more = True
        while more:
            answer = session.get(samsara.PATH, types=TYPES, after=cursor)
            cursor, more = answer["pagination"]["endCursor"], answer["pagination"]["hasNextPage"]
            found += [
                (vehicle["name"], kind, one["time"], one["value"])
                for vehicle in answer["data"]
                for kind in TYPES.split(",")
                for one in vehicle.get(kind, [])
            ]
    assert sorted(found) == sorted(
        (one.vehicle, one.kind, instant(one.event), one.values["value"])
        for one in simulated.samsara.timeline.records
        if one.kind in TYPES
    )


@settings(max_examples=10)
@given(POLLS, PAGES)
def test_rfms_gives_every_status_and_repeats_only_the_second_a_page_begins_with(
    polls: list[int], page: int
) -> None:
    watch = Wristwatch()
    simulated = simulation(watch, page)
    session = Session(simulated)
    start, found = instant(START), set()
    for watch.now in polls:
        more = True
        while more:
            answer = session.get(rfms.PATH, starttime=start, datetype="received")
            statuses = answer["vehicleStatusResponse"]["vehicleStatuses"]
            keys = [
                (one["vin"], one["createdDateTime"], one["triggerType"]["triggerType"])
                for one in statuses
            ]
            seen = {key for key, one in zip(keys, statuses, strict=True) if key in found}
            seconds = {
                one["receivedDateTime"]
                for key, one in zip(keys, statuses, strict=True)
                if key in seen
            }
            assert seconds <= {start}
            found.update(keys)
            more = answer["moreDataAvailable"]
            start = statuses[-1]["receivedDateTime"] if more else answer["requestServerDateTime"]
    ids = simulated.vehicles.of(Provider.RFMS)
    assert found == {
        (ids[one.vehicle], instant(one.event), one.kind) for one in simulated.rfms.timeline.records
    }


def test_viriciti_has_every_frame_in_its_history_once_it_is_known() -> None:
    watch = Wristwatch(END)
    session = Session(simulation(watch))
    query = {"apiKey": "simulated", "label": "odo", "start": str(START), "end": str(END)}
    found = session.send("GET", "/api/v1/time/bus-0001", params=query)
    expected = [one for one in FRAMES if (one.vid, one.label) == ("bus-0001", "odo")]
    assert [(one["time"], one["value"]) for one in found] == [
        (one.time, float(one.value)) for one in expected
    ]
    watch.now = expected[9].time + 500
    assert len(session.send("GET", "/api/v1/time/bus-0001", params=query)) == 10
    asked = {"bus-0001": ["odo", "nothing"]}
    state = session.send("POST", "/api/v2/state?apiKey=simulated", json=asked)
    assert state == {"bus-0001": {"odo": found[9], "nothing": None}}
    assert len(session.send("GET", "/api/v1/my/assets?apiKey=simulated")) == 3


def test_rfms_is_late_and_some_statuses_are_older_than_one_received_before() -> None:
    records = simulation(Wristwatch()).rfms.timeline.records
    assert any(one.received - one.event > 60_000 for one in records)
    assert any(b.event < a.event for a, b in pairwise(records))
    assert len({(one.vehicle, one.event) for one in records}) < len(records)


def test_equal_seeds_make_equal_timelines() -> None:
    one, same, other = (simulation(Wristwatch(), seed=seed) for seed in (1, 1, 2))
    assert one.rfms.timeline.records == same.rfms.timeline.records
    assert one.rfms.timeline.records != other.rfms.timeline.records


def test_frames_that_nobody_understands_are_no_records() -> None:
    odd = [Frame("bus", "soc", value, START) for value in ('"high"', "null", "1e999", "NaN")]
    odd += [Frame("bus", "gps", value, START) for value in ("null", '"1"', "[]")]
    simulated = Simulation(odd, clock=Wristwatch(END))
    assert not simulated.geotab.timeline.records
