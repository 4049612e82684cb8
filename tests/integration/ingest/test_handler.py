"""What the handler makes of batches, on a real database."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from core_ingest.door import Door, Principal
from core_ingest.errors import ClockAhead
from core_ingest.handler import Delivery
from core_ingest.signals.labels import LABELS, Label
from core_ingest.store.identities import vehicle_id
from ingress_contracts import kinds

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
SECOND = timedelta(seconds=1)
SPEED = "Vehicle.Speed"
BUS_SPEED = ("bus_1", SPEED)


async def test_outcomes_come_in_the_order_of_the_envelopes(core: "Core", edge: "Edge") -> None:
    first = edge.frame("speed", 40.0)
    batch = [
        first,
        edge.frame("speed", 40.1, NOON + SECOND),
        edge.frame("speed", 50.0, NOON + SECOND),
        edge.frame("speed", 30.0, NOON - SECOND),
        first,
        edge.frame("speed", 60.0, NOON + 302 * SECOND, received=NOON),
        edge.frame("speed", None),
        edge.frame("speed", "fast"),
        edge.envelope("telematics.provider.message.v9", b"{}"),
        edge.connection("connected"),
        first.model_copy(update={"sequence": None}),
    ]

    assert await core.take(*batch) == [
        "accepted",
        "unchanged",
        "conflict",
        "stale",
        "duplicate",
        "quarantined",
        "empty",
        "dead_lettered: not_a_number",
        "dead_lettered: unknown_version",
        "control",
        "refused: unnumbered",
    ]


async def test_facts_and_latest_are_stored_with_their_vehicle(core: "Core", edge: "Edge") -> None:
    await core.take(
        edge.frame("speed", 40.0),
        edge.frame("speed", 30.0, NOON - SECOND),
        edge.frame("gps", "52.1|5.1"),
        edge.frame("driver", "P. Puk"),
        edge.frame("voltage", 0, vehicle="bus_2"),
    )

    assert await core.history() == {
        ("bus_1", SPEED, NOON, 40.0),
        ("bus_1", SPEED, NOON - SECOND, 30.0),
        ("bus_1", "Vehicle.CurrentLocation", NOON, (52.1, 5.1)),
        ("bus_1", "viriciti.driver", NOON, "P. Puk"),
        ("bus_2", "Vehicle.Powertrain.TractionBattery.CurrentVoltage", NOON, 0.0),
    }
    assert (await core.latest())[BUS_SPEED] == (NOON, 40.0)
    vehicles = await core.pool.fetch(
        "SELECT a.external_id, v.vehicle FROM vehicle_assets v"
        " JOIN assets a ON (a.workspace, a.id) = (v.workspace, v.asset)"
    )
    assert {row["external_id"]: row["vehicle"] for row in vehicles} == {
        bus: vehicle_id("acme", "viriciti", bus) for bus in ("bus_1", "bus_2")
    }
    assert await core.pool.fetchval("SELECT sum(quality) FROM history") == 1


async def test_replayed_envelopes_are_acknowledged_and_stored_once(
    core: "Core", edge: "Edge"
) -> None:
    batch = [edge.frame("speed", 40.0 + at, NOON + at * SECOND) for at in range(5)]
    batch += [edge.frame("speed", "fast"), edge.connection("connected")]
    await core.take(*batch)
    before = (await core.history(), await core.latest(), await core.revision())

    again = await core.take(*reversed(batch))

    assert again == ["control", "dead_lettered: not_a_number", *["duplicate"] * 5]
    assert (await core.history(), await core.latest(), await core.revision()) == before
    assert await core.count("dead_letters") == 1
    assert await core.count("connection_events") == 1


async def test_revision_rises_only_when_latest_changes(core: "Core", edge: "Edge") -> None:
    revisions = []
    for envelope in [
        edge.frame("speed", 40.0),
        edge.frame("speed", 30.0, NOON - SECOND),  # stale
        edge.frame("speed", 40.0),  # duplicate
        edge.frame("speed", 39.0),  # a conflict that loses
        edge.frame("speed", 41.0),  # a conflict that wins
        edge.frame("speed", 41.1, NOON + SECOND),  # unchanged, and newer
        edge.frame("speed", 50.0, NOON + 400 * SECOND, received=NOON),  # quarantined
        edge.frame("odo", 1.0, NOON - SECOND),  # the first of its signal
    ]:
        await core.take(envelope)
        revisions.append(await core.revision())

    assert revisions == [1, 1, 1, 1, 2, 3, 3, 4]


async def test_batch_raises_a_revision_once(core: "Core", edge: "Edge") -> None:
    await core.take(*(edge.frame("speed", at * 5.0, NOON + at * SECOND) for at in range(9)))

    assert await core.revision() == 1


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("turned", [True, False])
async def test_two_values_at_one_instant_end_the_same_way_round(
    core: "Core", edge: "Edge", turned: bool, together: bool
) -> None:
    sent: list[Any] = [40.0, 41.5, "fast", "feast"]
    frames = [edge.frame("note", value) for value in (sent[::-1] if turned else sent)]

    if together:
        await core.take(*frames)
    else:
        for frame in frames:
            await core.take(frame)

    assert {fact[3] for fact in await core.history()} == set(sent)
    assert (await core.latest())["bus_1", "viriciti.note"] == (NOON, "feast")


async def test_drift_in_small_steps_becomes_significant_across_batches(
    core: "Core", edge: "Edge"
) -> None:
    outcomes = []
    for at in range(6):
        outcomes += await core.take(edge.frame("speed", 10 + at * 0.3, NOON + at * SECOND))

    assert outcomes == ["accepted", "unchanged"] * 3


async def test_fact_from_the_future_is_a_dead_letter_until_a_later_copy_comes(
    core: "Core", edge: "Edge"
) -> None:
    ahead = NOON + 400 * SECOND
    assert await core.take(edge.frame("speed", 40.0, ahead, received=NOON)) == ["quarantined"]
    assert await core.dead_letters() == [(f"edge-1/{EPOCH}/0", 0, "future")]
    assert await core.history() == set()
    assert await core.latest() == {}

    assert await core.take(edge.frame("speed", 40.0, ahead, received=ahead)) == ["accepted"]

    assert await core.history() == {("bus_1", SPEED, ahead, 40.0)}
    assert len(await core.dead_letters()) == 1


async def test_dead_letter_keeps_what_came_and_why(core: "Core", edge: "Edge") -> None:
    broken = edge.envelope(kinds.PROVIDER_MESSAGE, b'{"type":"vehicles"\x00\xff')

    assert await core.take(broken, door=Door.KAFKA) == ["dead_lettered: not_json"]

    row = await core.row("SELECT * FROM dead_letters")
    assert (row["origin"], row["index"], row["reason"]) == (f"edge-1/{EPOCH}/0", -1, "not_json")
    assert row["data"] == broken.data
    assert row["door"] == "kafka"
    assert json.loads(row["attributes"])["id"] == broken.id
    assert row["detail"]


async def test_rejected_and_quarantined_readings_beside_good_ones_are_dead_letters_of_their_own(
    core: "Core", edge: "Edge"
) -> None:
    update = edge.canonical(
        ("plate", NOON, "é" * 200),
        (SPEED, NOON, 5.0),
        (SPEED, NOON + timedelta(days=1), 6.0),
    )

    assert await core.take(update) == ["accepted"]

    assert await core.dead_letters() == [
        (f"edge-1/{EPOCH}/0", 0, "text_too_long"),
        (f"edge-1/{EPOCH}/0", 2, "future"),
    ]
    assert await core.history() == {("b8E2", SPEED, NOON, 5.0)}


async def test_dead_letters_of_two_workspaces_and_origins_do_not_meet(
    core: "Core", edge: "Edge"
) -> None:
    other = type(edge)(workspace="other")
    broken = [edge.frame("speed", "a"), edge.frame("speed", "a"), other.frame("speed", "a")]

    await core.take(*broken, *broken)

    assert [letter[0] for letter in await core.dead_letters()] == [
        f"edge-1/{EPOCH}/0",
        f"edge-1/{EPOCH}/1",
        f"edge-1/{EPOCH}/0",
    ]


async def test_workspaces_share_nothing(core: "Core", edge: "Edge") -> None:
    other = type(edge)(workspace="other")

    assert await core.take(edge.frame("speed", 1.0), other.frame("speed", 1.0)) == ["accepted"] * 2
    assert await core.count("assets") == 2


async def test_signal_keeps_its_number_when_it_is_catalogued_later(
    core: "Core", edge: "Edge", monkeypatch: pytest.MonkeyPatch
) -> None:
    torque = "Vehicle.Powertrain.ElectricMotor.Torque"
    await core.take(edge.frame("torque", 5.0))
    before = await core.row("SELECT * FROM signals WHERE name = 'viriciti.torque'")
    assert (before["provider"], before["path"]) == ("viriciti", None)

    monkeypatch.setitem(LABELS["viriciti"], "torque", Label(torque))
    upgraded = type(core)(core.pool, type(core.handler)(core.pool))
    assert await upgraded.take(edge.frame("torque", 5.0), edge.frame("torque", 6.0)) == [
        "duplicate",
        "conflict",
    ]

    after = await core.pool.fetch("SELECT * FROM signals")
    assert [(row["id"], row["path"]) for row in after] == [(before["id"], torque)]
    # A process that does not know the catalogue's new version yet goes on as before.
    assert await core.take(edge.frame("torque", 6.0)) == ["duplicate"]


async def test_path_that_another_provider_brought_is_no_former_name(
    core: "Core", edge: "Edge", monkeypatch: pytest.MonkeyPatch
) -> None:
    torque = "Vehicle.Powertrain.ElectricMotor.Torque"
    monkeypatch.setitem(LABELS["viriciti"], "torque", Label(torque))
    await core.pool.execute(
        "INSERT INTO signals (name, provider) VALUES ('geotab.torque', 'geotab')"
    )

    await core.take(edge.frame("torque", 5.0))

    rows = await core.pool.fetch("SELECT name, path FROM signals ORDER BY id")
    assert [tuple(row) for row in rows] == [("geotab.torque", None), (torque, None)]


async def test_connection_events_are_stored(core: "Core", edge: "Edge") -> None:
    states = ["connected", "subscribed", "disconnected"]

    assert await core.take(*map(edge.connection, states)) == ["control"] * 3

    rows = await core.pool.fetch("SELECT * FROM connection_events ORDER BY sequence")
    assert [(row["state"], row["stream"], row["at"], row["provider"]) for row in rows] == [
        (state, "buses", NOON, "viriciti") for state in states
    ]


async def test_undeliverable_record_is_a_dead_letter_under_its_own_origin(
    core: "Core", edge: "Edge"
) -> None:
    edge.sequence = 5

    assert await core.take(edge.undeliverable(3)) == ["control"]

    row = await core.row("SELECT * FROM dead_letters")
    assert (row["origin"], row["index"], row["reason"]) == (f"edge-1/{EPOCH}/3", -1, "too_large")
    assert row["detail"] == "600000 bytes; over the limit"
    assert row["data"] == b""


async def test_foreign_envelopes_are_refused_and_leave_no_trace(core: "Core", edge: "Edge") -> None:
    core.principal = Principal("acme", "edge-1")
    foreign = [type(edge)(workspace="other"), type(edge)(publisher="edge-2")]

    assert await core.take(*(each.frame("speed", 1.0) for each in foreign)) == [
        "refused: foreign_workspace",
        "refused: foreign_publisher",
    ]
    for table in ("workspaces", "assets", "history", "settlements", "dead_letters"):
        assert await core.count(table) == 0


async def test_no_envelopes_are_no_outcomes(core: "Core") -> None:
    assert await core.take() == []
    assert await core.handler.handle_together([]) == []


async def ahead(core: "Core", seconds: float) -> datetime:
    """Return an instant ahead of the database's clock."""
    now: datetime = await core.pool.fetchval("SELECT clock_timestamp()")
    return now + timedelta(seconds=seconds)


async def test_edge_whose_clock_is_ahead_is_told_so_over_http(core: "Core", edge: "Edge") -> None:
    late = await ahead(core, 1_000)

    with pytest.raises(ClockAhead) as raised:
        await core.take(edge.frame("speed", 1.0), edge.frame("speed", 2.0, late, received=late))

    assert 900 < raised.value.ahead_seconds <= 1_000
    assert raised.value.skew_seconds == 300
    assert raised.value.publisher == "edge-1"
    for table in ("history", "settlements", "dead_letters"):
        assert await core.count(table) == 0


async def test_edge_whose_clock_is_ahead_writes_dead_letters_over_kafka(
    core: "Core", edge: "Edge"
) -> None:
    late = await ahead(core, 1_000)
    batch = [edge.frame("speed", 1.0), edge.frame("speed", 2.0, late, received=late)]

    assert await core.take(*batch, door=Door.KAFKA) == ["accepted", "dead_lettered: clock_ahead"]
    assert await core.dead_letters() == [(f"edge-1/{EPOCH}/1", -1, "clock_ahead")]


async def test_clock_within_the_skew_is_fine(core: "Core", edge: "Edge") -> None:
    late = await ahead(core, 200)

    assert await core.take(edge.frame("speed", 1.0, late, received=late)) == ["accepted"]


async def test_skew_is_the_database_s_for_all_processes(core: "Core", edge: "Edge") -> None:
    await core.pool.execute("UPDATE ingest_limits SET skew_seconds = 10")

    assert await core.take(edge.frame("speed", 1.0, NOON + 11 * SECOND, received=NOON)) == [
        "quarantined"
    ]

    await core.pool.execute("UPDATE ingest_limits SET skew_seconds = 20")
    assert await core.take(edge.frame("speed", 1.0, NOON + 11 * SECOND, received=NOON)) == [
        "accepted"
    ]


async def test_deliveries_share_a_transaction_and_each_gets_its_own_result(
    core: "Core", edge: "Edge"
) -> None:
    late = await ahead(core, 1_000)
    other = type(edge)(workspace="other", publisher="edge-2")
    frame = edge.frame("speed", 1.0)
    deliveries = [
        Delivery([frame, edge.frame("speed", "fast")], Door.HTTP, Principal("acme", "edge-1")),
        Delivery([other.frame("odo", 5.0, received=late)], Door.HTTP, Principal("other")),
        Delivery([other.frame("odo", 5.0), frame], Door.HTTP, Principal("other", "edge-2")),
        Delivery([frame], Door.HTTP, Principal("acme", "edge-1")),
        Delivery([], Door.HTTP, Principal("acme", "edge-1")),
    ]

    results = await core.handler.handle_together(deliveries)

    shown = [
        result if isinstance(result, ClockAhead) else [outcome.kind.value for outcome in result]
        for result in results
    ]
    assert isinstance(shown[1], ClockAhead)
    assert [shown[0], *shown[2:]] == [
        ["accepted", "dead_lettered"],
        ["accepted", "refused"],
        ["duplicate"],
        [],
    ]
    assert await core.count("history") == 2
