"""Each bad habit, once; and what providers refuse."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from ingress_testbed.fleet import START, FleetPlan, fleet_frames
from ingress_testbed.polled import geotab, rfms, samsara
from ingress_testbed.polled.app import HABITS_PATH, STATUS_PATH, Manner, Simulation, application
from ingress_testbed.polled.exchange import Answer, Request, instant
from ingress_testbed.polled.habits import (
    EXPLANATIONS,
    Habit,
    explained,
    providers_with,
    read_conduct,
)
from ingress_testbed.polled.vehicles import Provider
from ingress_testbed.recordings import Frame
from ingress_testbed.simulator.habits import BadHabit

FRAMES = list(fleet_frames(FleetPlan(vehicles=2, hours=0.3, seed=4)))
HOUR = 3_600_000
NOW = START + 2 * HOUR
BEARER = {"authorization": "Bearer simulated"}
MANNER = Manner(
    samsara=samsara.SamsaraManner(page=40), rfms=rfms.RfmsManner(page=5), huge_bytes=3_000_000
)
TYPES = "evStateOfChargeMilliPercent,gps"


class Watch:
    def __init__(self) -> None:
        self.now = NOW

    def monotonic(self) -> float:
        return self.now / 1000

    def epoch_ms(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


class Bench:
    """A simulation, and good requests to it."""

    def __init__(
        self, *habits: str, manner: Manner = MANNER, frames: Sequence[Frame] = FRAMES
    ) -> None:
        self.watch = Watch()
        self.simulation = Simulation(frames, manner, habits=habits, clock=self.watch)
        self.credentials: Any = None

    def get(self, path: str, **query: str) -> Answer:
        return self.simulation.answer(Request("GET", path, query, BEARER))

    def call(self, method: str, **params: Any) -> Answer:
        body = json.dumps({"method": method, "params": params}).encode()
        return self.simulation.answer(Request("POST", geotab.PATH, body=body))

    def authenticate(self, password: str = "simulated") -> Answer:  # noqa: S107
        who = {"userName": "poller", "password": password, "database": "simulated"}
        answer = self.call("Authenticate", **who)
        if "result" in read(answer):
            self.credentials = read(answer)["result"]["credentials"]
        return answer

    def feed(self, version: str | None = None, **more: Any) -> Answer:
        self.watch.now += 1_000
        if version is not None:
            more["fromVersion"] = version
        common = {"typeName": "StatusData", "credentials": self.credentials, "resultsLimit": 60}
        return self.call("GetFeed", **{**common, **more})

    def poll(self, provider: Provider) -> Answer:
        """Ask for a page in the middle of what there is."""
        match provider:
            case Provider.GEOTAB:
                return self.feed("3c")
            case Provider.SAMSARA:
                return self.stats("28")
            case Provider.RFMS:
                return self.statuses(START + 600_000)
            case Provider.VIRICITI:
                return self.simulation.answer(
                    Request(
                        "GET",
                        "/api/v1/time/bus-0001",
                        {"label": "odo", "start": str(START), "end": str(NOW)},
                        {"x-api-key": "simulated"},
                    )
                )

    def stats(self, place: str) -> Answer:
        after = f"00000000-0000-0000-0000-{place:0>12}"
        return self.get(samsara.PATH, types=TYPES, after=after)

    def statuses(self, start: int, **more: str) -> Answer:
        return self.get(rfms.PATH, starttime=instant(start), **more)


def read(answer: Answer) -> Any:
    return json.loads(answer.body)


def ready(*habits: str) -> Bench:
    """A bench with a session, and with the habits, whose requests count from now."""
    bench = Bench()
    bench.authenticate()
    bench.simulation.behave(habits)
    return bench


def injected(bench: Bench, provider: Provider) -> dict[str, int]:
    found: dict[str, int] = bench.simulation.status()["providers"][provider]["injected"]
    return found


@pytest.mark.parametrize("provider", Provider)
@pytest.mark.parametrize(
    ("habit", "status", "looks"),
    [
        (Habit.HTML, 200, lambda one: one.media == "text/html" and one.body.startswith(b"<!")),
        (Habit.TRUNCATED, 200, lambda one: one.body[:1] in b"{[" and one.body[-1:] not in b"}]"),
        (Habit.UNAVAILABLE, 503, lambda one: one.media == "text/plain"),
        (Habit.OVER_LIMIT, 429, lambda one: {"Retry-After", "X-Rate-Limit-Reset"} & {*one.headers}),
        (Habit.UNAUTHORIZED, 401, lambda one: one.body.startswith(b"{")),
        (Habit.HUGE, 200, lambda one: one.filler + len(one.body) == MANNER.huge_bytes),
    ],
)
def test_every_provider_spoils_the_answer_on_the_occasion_and_no_other(
    provider: Provider, habit: Habit, status: int, looks: Any
) -> None:
    bench = ready(f"{provider}.{habit}=2")
    good = bench.poll(provider)
    assert good.status == 200
    assert read(good)
    bad = bench.poll(provider)
    if (provider, habit) == (Provider.GEOTAB, Habit.UNAUTHORIZED):
        assert read(bad)["error"]["data"]["type"] == "InvalidUserException"
        assert read(bench.feed("3c"))["error"]["data"]["type"] == "InvalidUserException"
        bench.authenticate()
    else:
        assert bad.status == status
        assert looks(bad)
    assert bench.poll(provider).status == 200
    assert injected(bench, provider) == {habit: 1}
    assert bench.simulation.status()["breaches"] == 0


@pytest.mark.parametrize("provider", Provider)
def test_a_clock_an_hour_off_shows_in_the_times(provider: Provider) -> None:
    bench = ready("clock=2")
    good, bad = bench.poll(provider), bench.poll(provider)
    assert good.body != bad.body
    assert len(good.body) == len(bad.body)
    if provider is Provider.RFMS:
        assert read(bad)["requestServerDateTime"] == instant(NOW + HOUR)


def test_a_page_repeats_for_ever_and_promises_more() -> None:
    bench = ready("repeat=1")
    first, second = bench.stats("28"), bench.stats("50")
    assert first == second
    assert read(first)["pagination"]["hasNextPage"]
    assert bench.feed("3c") == bench.feed("70")
    assert len(read(bench.feed("3c"))["result"]["data"]) == 60
    one, other = read(bench.statuses(START)), read(bench.statuses(NOW))
    assert one["vehicleStatusResponse"] == other["vehicleStatusResponse"]
    assert other["moreDataAvailable"]
    bench.simulation.behave(())
    assert bench.stats("28") != bench.stats("50")


def test_a_cursor_moves_back() -> None:
    bench = ready("cursor-back=1")
    assert read(bench.feed("3c"))["result"]["toVersion"] == f"{0x3C // 2:016x}"
    assert read(bench.stats("28"))["pagination"]["endCursor"].endswith(f"{0x28 // 2:012x}")
    server = read(bench.statuses(START))["requestServerDateTime"]
    assert server == instant(START - 24 * HOUR)


def test_geotab_repeats_records_after_a_restart_and_loses_none() -> None:
    bench = ready("restart=1")
    after, plain = read(bench.feed("3c"))["result"], read(bench.feed("3c"))["result"]
    before = read(bench.feed("0a"))["result"]
    assert after["data"][:50] == before["data"][:50]
    assert after["data"][50:] == plain["data"][:10]
    assert after["toVersion"] == f"{0x3C + 10:016x}"


def test_samsara_ends_the_last_page_with_an_empty_cursor() -> None:
    bench = ready("empty-cursor=1x9")
    assert read(bench.stats("0"))["pagination"]["endCursor"] != ""
    assert read(bench.stats("fffff"))["pagination"] == {"endCursor": "", "hasNextPage": False}


def test_rfms_leaves_out_the_wrapper_and_fields() -> None:
    bench = ready("no-wrapper=1", "missing-fields=2")
    assert len(read(bench.statuses(START))["vehicleStatuses"]) >= 5
    whole, poor = read(bench.statuses(START)), None
    bench.simulation.behave(["missing-fields=1"])
    poor = read(bench.statuses(START))
    for answer in (whole, poor):
        for status in answer["vehicleStatusResponse"]["vehicleStatuses"]:
            assert {"vin", "createdDateTime", "receivedDateTime"} <= status.keys()
            fields = {*status, *status["snapshotData"]}
            assert "triggerType" not in fields or len(fields) < 11


def test_rfms_splits_a_second_and_only_last_vin_leads_on() -> None:
    frames = [Frame(f"bus-{number}", "soc", "50", START) for number in range(4)]
    manner = Manner(rfms=rfms.RfmsManner(page=1), lateness=0.0)
    bench = Bench("split-second=1x1000", manner=manner, frames=frames)
    found, more, last = [], True, ""
    while more:
        answer = read(bench.statuses(START, lastVin=last))
        found += [one["vin"] for one in answer["vehicleStatusResponse"]["vehicleStatuses"]]
        more, last = answer["moreDataAvailable"], found[-1]
    assert found == list(bench.simulation.vehicles.of(Provider.RFMS).values())
    assert read(bench.statuses(START)) == read(bench.statuses(START))
    bench.simulation.behave(())
    answer = read(bench.statuses(START))
    assert len(answer["vehicleStatusResponse"]["vehicleStatuses"]) == 4
    assert not answer["moreDataAvailable"]


def kind(answer: Answer) -> Any:
    return read(answer)["error"]["data"]["type"]


def test_geotab_knows_its_errors() -> None:
    bench = Bench()
    assert kind(bench.authenticate("wrong")) == "InvalidUserException"
    assert kind(bench.feed("0")) == "InvalidUserException"
    bench.authenticate()
    assert kind(bench.feed("0", resultsLimit=50_001)) == "ArgumentException"
    assert kind(bench.feed("zero")) == "ArgumentException"
    assert kind(bench.feed("0", typeName="Trip")) == "MissingMethodException"
    assert read(bench.feed())["result"]["data"] == []
    head = read(bench.feed())["result"]["toVersion"]
    assert read(bench.feed(head))["result"] == {"data": [], "toVersion": head}
    seeded = read(bench.feed(search={"fromDate": instant(START + 600_000)}))["result"]["data"]
    assert seeded[0]["dateTime"] >= instant(START + 600_000)
    bench.watch.now += 15 * 24 * HOUR
    assert kind(bench.feed(head)) == "InvalidUserException"


def test_geotab_refuses_more_than_its_limits() -> None:
    bench = Bench()
    answers = [bench.authenticate() for _ in range(11)]
    assert [one.status for one in answers] == [200] * 10 + [429]
    assert answers[-1].headers["Retry-After"] == "60"
    bench.feed("0")
    bench.watch.now -= 1_000
    refused = bench.feed("0")
    bench.feed("0", typeName="LogRecord")
    assert refused.status == 429
    assert read(refused)["error"]["data"]["type"] == "OverLimitException"
    limits = bench.simulation.status()["providers"]["geotab"]["limits"]
    assert limits["StatusData"] == {"requests": 2, "breaches": 1, "limit": 1, "seconds": 1}
    assert limits["LogRecord"]["breaches"] == 0
    assert bench.simulation.status()["breaches"] == 2


def test_samsara_refuses_with_a_fraction_and_rfms_names_the_end_of_its_window() -> None:
    bench = Bench()
    bench.watch.now += 123
    answers = [bench.stats("fffff") for _ in range(151)]
    assert [one.status for one in answers] == [200] * 150 + [429]
    assert answers[-1].headers["Retry-After"] == "1.000"
    many = [bench.statuses(NOW) for _ in range(61)]
    assert [one.status for one in many] == [200] * 60 + [429]
    assert many[0].headers["X-Rate-Limit-Remaining"] == "59"
    assert many[-1].headers["X-Rate-Limit-Reset"] == str(NOW // 1000 + 60)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (
            samsara.PATH,
            {"types": "gps,evChargingStatus,obdOdometerMeters,evStateOfChargeMilliPercent"},
        ),
        (samsara.PATH, {}),
        (samsara.PATH, {"types": "gps", "after": "elsewhere"}),
        (rfms.PATH, {}),
        (rfms.PATH, {"starttime": "yesterday"}),
        (
            "/api/v1/time/bus-0001",
            {"apiKey": "simulated", "label": "odo", "start": "0", "end": "2678400001"},
        ),
        (
            "/api/v1/time/1,2,3,4,5,6",
            {"apiKey": "simulated", "label": "odo", "start": "0", "end": "1"},
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(path: str, query: dict[str, str]) -> None:
    assert Bench().get(path, **query).status == 400


def test_habits_are_read_and_explained() -> None:
    assert EXPLANATIONS.keys() == set(Habit)
    assert len(list(explained())) == len(Habit)
    read_conduct(f"{habit}=1" for habit in Habit)
    for text in ("vanish=1", "samsara.no-wrapper=1", "nobody.html=1", "html=never"):
        with pytest.raises(BadHabit):
            read_conduct([text])
    with pytest.raises(BadHabit, match="twice"):
        read_conduct(["html=1", "rfms.html=2"])
    assert providers_with(Habit.RESTART) == {Provider.GEOTAB}


def test_over_http_a_huge_body_is_streamed_and_the_status_tells() -> None:
    async def ask() -> tuple[int, Any]:
        transport = httpx.ASGITransport(application(Bench().simulation))
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
            assert (await client.put(HABITS_PATH, json=["vanish=1"])).status_code == 400
            await client.put(HABITS_PATH, json=["samsara.huge=1"])
            query = {"types": "gps"}
            answer = await client.get(samsara.PATH, params=query, headers=BEARER)
            return len(answer.content), (await client.get(STATUS_PATH)).json()

    size, status = asyncio.run(ask())
    assert size == MANNER.huge_bytes
    assert status["providers"]["samsara"]["injected"] == {"huge": 1}
