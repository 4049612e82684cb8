"""More arrives than can be worked off: memory does not tell for how long, and nothing is lost."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingress_testbed.faults.design import Design
from ingress_testbed.faults.overload import Loaded, at_rate, capacity, loaded
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import open_recording
from ingress_testbed.servers.postgres import OwnPostgres, running_postgres

pytestmark = [pytest.mark.anyio, pytest.mark.trials]

# Postgres counts the shared buffers that it has touched: with few of them, it soon touched all.
CONFIGURATION = {"shared_buffers": "4MB"}
SHORT, LONG = 60, 180  # seconds
LITTLE_MORE = 1.1
VEHICLES = 50
FRAMES_AN_HOUR = 300_000  # about


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ingress-tests-") as name:
        yield Path(name)


@pytest.fixture
def server(directory: Path) -> Iterator[OwnPostgres]:
    with running_postgres(directory, configuration=CONFIGURATION) as server:
        if not isinstance(server, OwnPostgres):
            pytest.skip("INGRESS_DATABASE_URL names a server whose memory is not ours to watch")
        yield server


async def test_twice_the_load_that_can_be_worked_off_is_settled_whole(
    server: OwnPostgres, directory: Path
) -> None:
    seconds = 2.0
    rate = await measured(server, directory, seconds, frames=10_000)
    day = recorded(directory / "day", frames=int(2 * rate * seconds))

    (run,) = await runs_of(day, 2 * rate, server, directory, seconds)

    assert_settled(run)


@pytest.mark.skipif("SOAK_ROUNDS" not in os.environ, reason="takes ten minutes: make soak")
async def test_memory_under_twice_the_load_does_not_grow_with_its_duration(
    server: OwnPostgres, directory: Path
) -> None:
    rate = await measured(server, directory, seconds=10, frames=200_000)
    day = recorded(directory / "day", frames=int(2 * rate * LONG))

    first, second = await runs_of(day, 2 * rate, server, directory, SHORT, LONG)

    ratios = {name: second.peaks[name] / peak for name, peak in first.peaks.items()}
    print(f"{2 * rate:,.0f} frames/s, peaks {first.peaks}, ratios {ratios}")  # noqa: T201 — a soak is read
    assert max(ratios.values()) <= LITTLE_MORE, (first, second)
    for run in (first, second):
        assert_settled(run)
        assert run.pending > 0  # it was too much


async def measured(server: OwnPostgres, directory: Path, seconds: float, frames: int) -> float:
    """Return how many frames a second go all the way, of a recording that is long enough."""
    place = directory / "measured"
    return await capacity(replace(recorded(place, frames), seconds=seconds), place, server)


async def runs_of(
    design: Design, rate: float, server: OwnPostgres, directory: Path, *durations: float
) -> list[Loaded]:
    """Load a system of its own at `rate` for each of `durations`."""
    runs: list[Loaded] = []
    for seconds in durations:
        place = directory / f"for-{seconds:g}"
        place.mkdir()
        runs.append(await loaded(at_rate(replace(design, seconds=seconds), rate), place, server))
    return runs


def assert_settled(run: Loaded) -> None:
    assert run.accounting["unaccounted"] == run.accounting["in_flight"] == 0
    assert run.accounting["received"] == run.sent > 0


def recorded(directory: Path, frames: int) -> Design:
    """Record as much of a fleet's life as holds `frames`: a fleet is busier by day than by night."""
    directory.mkdir()
    path = directory / "day.jsonl"
    hours = frames / FRAMES_AN_HOUR
    while True:
        record_fleet(FleetPlan(VEHICLES, hours, seed=6), path)
        recording = open_recording(path)
        if (held := sum(1 for _ in recording.frames())) >= frames:
            return Design(recording, resend=False)
        hours *= 1.2 * frames / held
