"""The database fails in the middle of a replay: everybody waits, and nothing is lost."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingress_testbed.faults.design import Design
from ingress_testbed.faults.outages import Outage, out_of_connections, restarted, slowed
from ingress_testbed.faults.verdict import objections
from ingress_testbed.faults.weather import weather
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import Recording, open_recording
from ingress_testbed.servers.postgres import OwnPostgres, running_postgres

pytestmark = [pytest.mark.anyio, pytest.mark.trials]

SMALL_QUEUE = {"CORE_API_MAX_ENVELOPES": "500", "CORE_API_WORK_ENVELOPES": "500"}


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with (
        tempfile.TemporaryDirectory(prefix="ingress-tests-") as directory,
        running_postgres(Path(directory), configuration={"max_connections": "20"}) as server,
    ):
        if not isinstance(server, OwnPostgres):
            pytest.skip("INGRESS_DATABASE_URL names a server that is not ours to stop")
        yield server


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("fleet") / "day.jsonl"
    record_fleet(FleetPlan(vehicles=10, hours=0.25, seed=6), path)
    return open_recording(path)


@pytest.mark.parametrize("outage", [restarted, slowed, out_of_connections])
async def test_outage_of_the_database_is_waited_for(
    outage: Outage, server: OwnPostgres, day: Recording, tmp_path: Path
) -> None:
    design = Design(day, speed="90", resend=False, api=SMALL_QUEUE)

    weathered = await weather(design, outage, tmp_path, server)

    assert int(weathered.refused.headers["retry-after"]) > 0
    assert weathered.refused.headers["content-type"] == "application/problem+json"
    assert weathered.piled_up > 0
    assert list(objections(weathered.ending)) == []
