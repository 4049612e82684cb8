"""Clocks that are wrong, a provider's or a publisher's own: the truth is kept, and nothing is lost."""

import json
from datetime import UTC, datetime
from pathlib import Path

from core_api.keys import Role
from ingress_contracts.http import BATCH
from tests.acceptance.messages import NOON, SECOND, SPEED, Edge, frame
from tests.acceptance.processes import Core
from tests.acceptance.streaming import provider, publisher

VOLTAGE = "Vehicle.Powertrain.TractionBattery.CurrentVoltage"
_AHEAD = "import time; true = time.time_ns; time.time_ns = lambda: true() + 7_200 * 10**9; "


def test_vehicle_goes_on_after_a_stamp_of_2090_and_a_voltage_of_zero(
    core: Core, workspace: str
) -> None:
    edge = Edge(workspace)
    headers = {"content-type": BATCH, "x-api-key": core.key(Role.INGEST, workspace)}
    odd = [datetime(2090, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    trip = [(664.8, NOON), (700.0, odd[0]), (0, NOON + SECOND), (650.0, odd[1]), (661.2, NOON + 2 * SECOND)]  # fmt: skip
    seen = []

    for value, at in trip:
        item = edge.item(frame("voltage", value, at))
        answer = core.client.post(
            "/v1/provider-ingest", content=json.dumps([item]), headers=headers
        )
        (outcome,) = answer.json()["outcomes"]
        seen.append((outcome["outcome"], *core.snapshot(workspace)[VOLTAGE]))

    assert seen == [
        ("accepted", 664.8, 0),
        ("quarantined", 664.8, 0),
        ("accepted", 0, 1),
        ("stale", 0, 1),
        ("accepted", 661.2, 0),
    ]
    (vehicle,) = core.read(workspace, "vehicles")["vehicles"]
    history = core.read(workspace, f"vehicles/{vehicle['vehicle']}/history", signal=VOLTAGE, to="2027-01-01T00:00:00Z", **{"from": "1960-01-01T00:00:00Z"})  # fmt: skip
    assert sorted((one["value"], one["quality"]) for one in history["readings"]) == [
        (0, 1),
        (650.0, 0),
        (661.2, 0),
        (664.8, 0),
    ]
    partitions = core.rows(
        "SELECT tableoid::regclass::text FROM history WHERE num = 650 AND workspace ="
        " (SELECT id FROM workspaces WHERE name = $1)",
        workspace,
    )
    assert partitions == [("history_before_2015",)]
    made = core.rows("SELECT relname FROM pg_class WHERE relname ~ '^history_(1970|2090)'")
    assert made == []


def test_publisher_whose_clock_is_two_hours_ahead_is_refused_loudly_and_loses_nothing(
    core: Core, workspace: str, tmp_path: Path
) -> None:
    frames = [frame("speed", at, NOON + at * SECOND) for at in range(50)]

    with provider(frames) as url:
        with publisher(core, workspace, url, tmp_path, before=_AHEAD) as running:
            refused = running.event("clock_ahead")
            assert running.end() == 0
        before = core.read(workspace, "accounting")
        with publisher(core, workspace, url, tmp_path) as running:
            corrected = running.event("received_times_corrected")
            accounting = core.until(workspace, lambda terms: terms["received"] == 50)
            assert running.end() == 0

    assert 7_000 < refused["ahead_seconds"] < 7_400
    assert "set this machine's clock" in refused["remedy"]
    assert "Set the clock of the machine" in refused["error"]
    assert before["received"] == 0
    assert corrected["records"] > 0
    assert (accounting["accepted"], accounting["unaccounted"]) == (50, 0)
    assert core.read(workspace, "accounting")["in_flight"] == 0
    assert core.snapshot(workspace) == {SPEED: (49, 0)}
