"""Every number that a publisher handed out stands in exactly one term of the accounting."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from core_ingest.door import Door
from core_ingest.ledger.accounting import Accounting, account
from core_ingest.ledger.compactor import compact

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EARLY, LATE = UUID(int=1), UUID(int=2)
BOTH_ROUTES = ({"door": "http"}, {"door": "kafka", "topic": "fleet", "partitions": 2})


async def arrive(core: "Core", route: str, number: int) -> None:
    """Let a checkpoint arrive by another route than the HTTP door."""
    await core.pool.execute(
        "INSERT INTO checkpoint_arrivals (workspace, publisher, route, number)"
        " SELECT id, 'edge-1', $1, $2 FROM workspaces WHERE name = 'acme'"
        " ON CONFLICT (workspace, publisher, route) DO UPDATE SET number = excluded.number",
        route,
        number,
    )


async def test_outcomes_are_counted_one_term_each(core: "Core", edge: "Edge") -> None:
    frame = edge.frame("speed", 40.0)
    await core.take(
        frame,
        edge.frame("speed", 40.0),
        edge.frame("speed", 41.0),
        edge.frame("speed", "fast"),
        edge.frame("speed", None),
        edge.connection("connected"),
        edge.checkpoint(1),
        frame.model_copy(update={"sequence": None}),
    )

    assert await core.accounted() == {
        "received": 5,
        "control": 1,
        "accepted": 1,
        "duplicate": 1,
        "conflict": 1,
        "dead_lettered": 1,
        "empty": 1,
    }


async def test_first_settlement_counts_and_later_ones_are_redelivered_by_door(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(3)]
    await core.take(*frames)
    await core.take(*frames[:2], door=Door.KAFKA)
    await compact(core.pool)
    await core.take(frames[0], door=Door.KAFKA)

    assert await core.accounted() == {
        "received": 3,
        "accepted": 1,
        "conflict": 2,
        "redelivered": 3,
    }
    rows = await core.pool.fetch("SELECT door, sum(redelivered) AS n FROM ledger_counts GROUP BY 1")
    assert {row["door"]: row["n"] for row in rows} == {"http": 0, "kafka": 3}


async def test_delays_of_all_batches_are_added_up(core: "Core", edge: "Edge") -> None:
    for at in range(3):
        await core.take(edge.frame("speed", float(at)), edge.frame("odo", float(at)))
        await compact(core.pool)

    delays = await core.pool.fetch("SELECT delays FROM ledger_counts")
    assert sum(sum(row["delays"]) for row in delays) == 6


async def test_number_that_is_neither_pending_nor_settled_is_unaccounted(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(5)]
    await core.take(frames[0], frames[4], edge.checkpoint(1, pending=[(1, 2)]))

    found = await core.accounted()
    assert (found["in_flight"], found["unaccounted"]) == (2, 1)

    await core.take(*frames[1:4], edge.checkpoint(2))
    found = await core.accounted()
    assert found.keys() & {"in_flight", "unaccounted"} == set()
    assert found["received"] == 5


async def test_pending_number_that_was_settled_meanwhile_is_not_in_flight(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(3)]
    await core.take(edge.checkpoint(1, pending=[(0, 2)]))
    assert await core.accounted() == {"received": 3, "in_flight": 3}

    await core.take(*frames[:2])
    assert await core.accounted() == {"received": 3, "accepted": 1, "conflict": 1, "in_flight": 1}


async def test_number_above_the_checkpoint_is_in_flight_and_not_unaccounted(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(5)]
    await core.take(frames[0], edge.checkpoint(1, head=0), frames[4])

    assert await core.accounted() == {"received": 5, "accepted": 1, "conflict": 1, "in_flight": 3}


async def test_checkpoint_counts_once_it_or_a_later_one_arrived_on_every_route(
    core: "Core", edge: "Edge"
) -> None:
    await core.take(edge.frame("speed", 1.0))
    seen = []
    for event in [
        core.take(edge.checkpoint(3, head=5, routes=BOTH_ROUTES)),
        arrive(core, "kafka/fleet/0", 3),
        arrive(core, "kafka/fleet/1", 2),
        arrive(core, "kafka/fleet/1", 7),
    ]:
        await event
        seen.append((await core.accounted()).get("unaccounted", 0))

    assert seen == [0, 0, 0, 5]
    assert await core.count("checkpoints") == 0


async def test_late_copy_of_an_older_checkpoint_changes_nothing(core: "Core", edge: "Edge") -> None:
    older = edge.checkpoint(1, head=9, pending=[(0, 9)])
    await core.take(older)
    await core.take(edge.checkpoint(2, head=9, pending=[(0, 3)]))
    before = await core.accounted()
    assert (before["unaccounted"], before["in_flight"]) == (6, 4)

    assert await core.take(older) == ["control"]

    assert await core.accounted() == before
    assert await core.count("checkpoints") == 0


async def test_checkpoint_is_applied_after_what_was_settled_before_it(
    core: "Core", edge: "Edge"
) -> None:
    for number in range(4):
        await core.take(edge.frame("speed", float(number)))
        await core.take(edge.checkpoint(number))

    assert await compact(core.pool) == 4
    assert "unaccounted" not in await core.accounted()


async def test_silent_publisher_leaves_what_is_pending_stranded(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0), edge.checkpoint(1, head=3, pending=[(1, 3)]))
    assert "stranded" not in await core.accounted()

    await core.pool.execute("UPDATE ledger_epochs SET reported = reported - interval '1 hour'")
    assert await core.accounted() == {"received": 4, "accepted": 1, "in_flight": 3, "stranded": 3}

    await core.take(edge.checkpoint(2, head=3, pending=[(1, 3)]))
    assert "stranded" not in await core.accounted()


BOTH_WAYS = (
    {"door": "http"},
    {"door": "kafka", "topic": "telematics.ingress", "partitions": 3},
)


async def test_publisher_whose_checkpoints_wait_for_a_queue_is_not_silent(
    core: "Core", edge: "Edge"
) -> None:
    """While Kafka is away none of its checkpoints counts, and it says by HTTP that it is well."""
    await core.take(edge.frame("speed", 1.0), edge.checkpoint(1, head=3, pending=[(1, 3)]))
    await core.accounted()
    await core.pool.execute("UPDATE ledger_epochs SET reported = reported - interval '1 hour'")

    await core.take(edge.checkpoint(2, head=3, pending=[(1, 3)], routes=BOTH_WAYS))
    assert await core.accounted() == {"received": 4, "accepted": 1, "in_flight": 3}

    await core.pool.execute("UPDATE checkpoints SET arrived = arrived - interval '1 hour'")
    assert await core.accounted() == {"received": 4, "accepted": 1, "in_flight": 3, "stranded": 3}


async def test_epoch_that_no_waiting_checkpoint_names_is_stranded_though_its_publisher_reports(
    core: "Core", edge: "Edge"
) -> None:
    await core.settle(edge, [0, 3])
    await core.accounted()
    await core.pool.execute("UPDATE ledger_epochs SET known = known - interval '1 hour'")
    other = type(edge)(epoch=LATE)

    await core.take(other.checkpoint(1, routes=BOTH_WAYS))

    assert (await core.accounted())["stranded"] == 2


async def test_epoch_that_is_never_reported_is_stranded_in_the_end_though_others_are(
    core: "Core", edge: "Edge"
) -> None:
    """Its journal was lost before the first checkpoint; numbers 1 and 2 with it."""
    other = type(edge)(epoch=LATE)
    await core.settle(edge, [0, 3])
    await core.take(other.checkpoint(1))
    assert await core.accounted() == {"received": 4, "accepted": 2, "in_flight": 2}

    await core.pool.execute("UPDATE ledger_epochs SET known = known - interval '1 hour'")
    await core.take(other.checkpoint(2))
    assert await core.accounted() == {
        "received": 4,
        "accepted": 2,
        "in_flight": 2,
        "stranded": 2,
    }


async def test_new_epoch_of_a_publisher_that_was_silent_is_not_stranded(
    core: "Core", edge: "Edge"
) -> None:
    await core.take(edge.frame("speed", 1.0), edge.checkpoint(1))
    await core.accounted()
    await core.pool.execute("UPDATE ledger_epochs SET reported = reported - interval '1 hour'")
    again = type(edge)(epoch=LATE)

    await core.settle(again, [0, 3])

    assert await core.accounted() == {"received": 5, "accepted": 3, "in_flight": 2}


async def test_dropped_numbers_count_once_however_often_they_are_reported(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(4)]
    await core.take(frames[0])
    for number in range(3):
        await core.take(edge.checkpoint(number, dropped=[(1, 2)], pending=[(3, 3)]))

    assert await core.accounted() == {"received": 4, "accepted": 1, "dropped": 2, "in_flight": 1}

    await core.take(frames[2])
    found = await core.accounted()
    assert (found["dropped"], found["redelivered"]) == (2, 1)


async def test_undeliverable_settles_its_target_as_a_dead_letter(
    core: "Core", edge: "Edge"
) -> None:
    too_large = edge.frame("speed", 1.0)
    await core.take(edge.undeliverable(0), edge.checkpoint(1))

    assert await core.accounted() == {"received": 1, "control": 1, "dead_lettered": 1}

    await core.take(too_large)
    found = await core.accounted()
    assert (found["received"], found["dead_lettered"], found["redelivered"]) == (1, 1, 1)


async def test_undeliverable_settles_a_target_of_an_older_epoch(core: "Core", edge: "Edge") -> None:
    await core.take(edge.undeliverable(4, epoch=EARLY))

    epochs = await core.pool.fetch("SELECT epoch, lowest FROM ledger_epochs")
    assert await core.accounted() == {"received": 1, "control": 1, "dead_lettered": 1}
    assert {row["epoch"] for row in epochs} <= {EARLY, edge.epoch}


async def test_closed_epochs_stay_counted(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0), edge.checkpoint(1, closed=True))
    again = type(edge)(epoch=LATE, sequence=1)
    await core.take(again.frame("speed", 2.0), again.checkpoint(2, first=1))

    assert await core.accounted() == {"received": 2, "accepted": 1, "conflict": 1}
    (publisher,) = (await account(core.pool, "acme")).publishers
    assert publisher.epochs == 2


async def test_what_a_checkpoint_said_of_an_epoch_holds_until_a_later_one_names_it(
    core: "Core", edge: "Edge"
) -> None:
    other = type(edge)(epoch=LATE)
    await core.take(edge.checkpoint(1, head=2), other.checkpoint(2, head=1, pending=[(0, 1)]))

    assert await core.accounted() == {"received": 5, "unaccounted": 3, "in_flight": 2}


async def test_publishers_and_workspaces_are_accounted_apart(core: "Core", edge: "Edge") -> None:
    """Even if they share an epoch's id, which only a copied journal could bring about."""
    neighbour, stranger = type(edge)(publisher="edge-2"), type(edge)(workspace="other")
    await core.settle(edge, [0, 1, 2])
    await core.settle(neighbour, [0, 7])
    await core.settle(stranger, [5], "stale")

    assert await core.accounted_apart() == {
        "edge-1": {"received": 3, "accepted": 3},
        "edge-2": {"received": 8, "accepted": 2, "in_flight": 6, "stranded": 6},
    }
    assert await core.accounted("other") == {"received": 1, "stale": 1}


async def test_unknown_workspace_has_received_nothing(core: "Core") -> None:
    assert await account(core.pool, "nobody") == Accounting()


async def test_greatest_number_is_no_trouble(core: "Core", edge: "Edge") -> None:
    greatest = 2**63 - 1
    await core.take(
        edge.checkpoint(1, first=greatest - 2, head=greatest, pending=[(greatest,) * 2])
    )
    edge.sequence = greatest - 2
    await core.take(edge.frame("speed", 1.0))

    assert await core.accounted() == {
        "received": 3,
        "accepted": 1,
        "in_flight": 1,
        "unaccounted": 1,
    }
