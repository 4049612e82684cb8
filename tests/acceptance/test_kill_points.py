"""Real processes are killed between any two steps; what was journalled survives, once."""

import os
from pathlib import Path

import pytest

from ingress_testbed.faults.crashes import crash
from ingress_testbed.faults.deaths import deaths
from ingress_testbed.faults.design import Design
from ingress_testbed.faults.verdict import objections
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import open_recording

pytestmark = [pytest.mark.anyio, pytest.mark.trials]

_SOAK_ROUNDS = int(os.environ.get("SOAK_ROUNDS", "0"))


@pytest.mark.parametrize(
    ("seed", "plan"),
    [
        pytest.param(4, FleetPlan(vehicles=3, hours=0.2, seed=4), id="once"),
        *(
            pytest.param(seed, FleetPlan(vehicles=10, hours=1, seed=seed), id=f"soak-{seed}")
            for seed in range(1, _SOAK_ROUNDS + 1)
        ),
    ],
)
async def test_processes_killed_at_every_point_lose_nothing_and_count_nothing_twice(
    seed: int, plan: FleetPlan, postgres_url: str, tmp_path: Path
) -> None:
    day = tmp_path / "day.jsonl"
    record_fleet(plan, day)
    drawn = deaths(seed, rounds=1, moments=2)

    ending = await crash(Design(open_recording(day)), drawn, tmp_path, postgres_url)

    assert list(objections(ending)) == []
