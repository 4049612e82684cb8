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


@pytest.mark.skipif("SOAK_ROUNDS" not in os.environ, reason="takes ten minutes: make soak")
async def test_memory_under_twice_the_load_does_not_grow_with_its_duration(
    server: OwnPostgres, directory: Path
) -> None:
    design = replace(recorded(directory / "measured", frames=200_000), seconds=10)
    rate = await capacity(design, directory / "measured", server)
    design = recorded(directory / "day", frames=int(2 * rate * LONG))
    runs: list[Loaded] = []
    for seconds in (SHORT, LONG):
        place = directory / f"for-{seconds}"
        place.mkdir()
        runs.append(
            await loaded(at_rate(replace(design, seconds=seconds), 2 * rate), place, server)
        )
    first, second = runs

    ratios = {name: second.peaks[name] / peak for name, peak in first.peaks.items()}
    print(f"{2 * rate:,.0f} frames/s, peaks {first.peaks}, ratios {ratios}")  # noqa: T201 — a soak is read
    assert max(ratios.values()) <= LITTLE_MORE, (first, second)
    for run in runs:
        assert run.accounting["unaccounted"] == run.accounting["in_flight"] == 0
        assert run.accounting["received"] == run.sent
        assert run.pending > 0  # it was too much


def recorded(directory: Path, frames: int) -> Design:
    """Record as much of a fleet's life as holds `frames`: a fleet is busier by day than by night."""
    directory.mkdir()
    path = directory / "day.jsonl"
    hours = 1.0
    while True:
        record_fleet(FleetPlan(VEHICLES, hours, seed=6), path)
        recording = open_recording(path)
        if (held := sum(1 for _ in recording.frames())) >= frames:
            return Design(recording, resend=False)
        hours *= 1.2 * frames / held
