import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from ingress_testbed.recordings import open_recording
from ingress_testbed.simulator.server import Simulator
from ingress_testbed.truth import truth_of

pytestmark = [pytest.mark.anyio, pytest.mark.recordings]

BATTERY = "Vehicle.Powertrain.TractionBattery"


def at(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def test_the_truth_of_the_bus_day_is_what_its_readme_lists(recordings: Path) -> None:
    truth = truth_of(open_recording(recordings / "viriciti-bus-day.jsonl.gz").frames())
    assert (truth.frames, truth.facts) == (162_481, 162_481)
    assert truth.snapshot == {
        ("test-bus-1", "Vehicle.TraveledDistance"): (80766.81, at(1548457215319)),
        ("test-bus-1", "Vehicle.Speed"): (4.39844, at(1548457200097)),
        ("test-bus-1", f"{BATTERY}.CurrentCurrent"): (22.7, at(1548457200010)),
        ("test-bus-1", f"{BATTERY}.CurrentVoltage"): (591.6, at(1548457200310)),
    }


def test_the_route_makes_4984_frames_and_as_many_facts(recordings: Path) -> None:
    truth = truth_of(open_recording(recordings / "viriciti-route.csv").frames())
    assert (truth.frames, truth.facts) == (4_984, 4_984)
    assert {path for _, path in truth.snapshot} == {
        "viriciti.energy",
        "Vehicle.CurrentLocation",
        "Vehicle.TraveledDistance",
        "Vehicle.Speed",
        f"{BATTERY}.StateOfCharge.Displayed",
    }


async def test_every_frame_of_the_route_arrives_as_it_was_recorded(recordings: Path) -> None:
    recording = open_recording(recordings / "viriciti-route.csv")
    expected = [f'{{"type":"vehicles","payload":{one.payload()}}}' for one in recording.frames()]
    labels = ["energy", "gps", "odo", "speed", "soc"]
    async with (
        Simulator(recording, keys={"key": "secret"}).serving() as simulator,
        connect(f"{simulator.url}?apiKey=secret") as client,
        asyncio.timeout(30),
    ):
        await client.send(json.dumps({"vehicles": {"route-bus": labels}}))
        await client.recv()
        assert [await client.recv() for _ in expected] == expected
