"""HTTP is the truth, Kafka gets a copy: the report tells which copies are missing, and no others."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from core_ingest.ledger.compactor import compact
from core_ingest.ledger.shadow_report import NumberRange, report
from tests.integration.ingest.shadowing import (
    COPIES,
    age,
    copied,
    everywhere,
    frames,
    of_edge,
    rows,
    shadowing,
    told,
)

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio


async def test_everything_that_came_both_ways_is_safe(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 10)
    await core.take(*sent)
    await copied(core, *sent)
    await everywhere(core, edge.checkpoint(1, copies=COPIES))

    found = await of_edge(core)

    assert (found.verdict, found.reasons) == ("safe", ())
    assert (found.judged, found.both, found.under_way) == (10, 10, 0)
    assert found.only_http.numbers == found.only_kafka.numbers == 0
    assert (sum(found.http.counts), sum(found.kafka.counts)) == (10, 10)
    assert found.http.p99 is not None
    assert (await told(core)).verdict == "safe"


async def test_copy_that_was_lost_is_told_with_its_ids(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 12)
    await core.take(*sent)
    await copied(core, *(each for each in sent if each.sequence not in {3, 7, 8}))
    await everywhere(core, edge.checkpoint(1, copies=COPIES))

    found = await of_edge(core)

    assert found.verdict == "unsafe"
    assert found.reasons == (
        "3 came by HTTP only: Kafka lacks them, or their copies were never sent",
    )
    assert found.only_http.ranges == (
        NumberRange(epoch=edge.epoch, first=3, last=3),
        NumberRange(epoch=edge.epoch, first=7, last=8),
    )
    assert (found.judged, found.both) == (12, 9)

    few = await of_edge(core, most_ranges=1)
    assert [each.first for each in few.only_http.ranges] == [3]
    assert few.only_http.more_ranges == 1


async def test_copy_that_came_late_makes_it_safe(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 4)
    await core.take(*sent)
    await copied(core, *sent[:3])
    await everywhere(core, edge.checkpoint(1, copies=COPIES))
    assert (await of_edge(core)).verdict == "unsafe"

    await copied(core, sent[3])

    assert (await of_edge(core)).verdict == "safe"


async def test_copies_under_way_above_the_checkpoint_are_not_missing(
    core: "Core", edge: "Edge"
) -> None:
    await shadowing(core, edge)
    sent = frames(edge, 5)
    await core.take(*sent)
    await copied(core, *sent)
    await everywhere(core, edge.checkpoint(1, copies=COPIES))
    await core.take(*frames(edge, 3))

    found = await of_edge(core)

    assert (found.verdict, found.judged, found.under_way) == ("safe", 5, 3)


async def test_nothing_is_judged_until_the_checkpoint_came_by_every_partition(
    core: "Core", edge: "Edge"
) -> None:
    sent = frames(edge, 5)
    await core.take(*sent)
    checkpoint = edge.checkpoint(1, copies=COPIES)
    await core.take(checkpoint)
    await copied(core, *sent, checkpoint)

    before = await of_edge(core)
    await copied(core, checkpoint, partition=1)
    after = await of_edge(core)

    assert (before.verdict, before.judged, before.under_way) == ("undecided", 0, 5)
    assert before.barrier is None
    assert before.reasons[0] == "no checkpoint has come by every partition yet"
    assert (after.verdict, after.judged, after.under_way) == ("safe", 5, 0)


async def test_later_checkpoint_by_one_partition_stands_for_an_earlier_one(
    core: "Core", edge: "Edge"
) -> None:
    await shadowing(core, edge)
    sent = frames(edge, 3)
    await core.take(*sent)
    await copied(core, *sent)
    first, second = (edge.checkpoint(number, copies=COPIES) for number in (1, 2))
    await core.take(first)
    await core.take(second)
    await compact(core.pool)
    await copied(core, second, partition=1)
    await copied(core, first, partition=0)

    assert (await of_edge(core)).judged == 3
    assert await core.count("shadow_checkpoints") == 1

    await copied(core, second, partition=0)
    await compact(core.pool)
    assert await core.count("shadow_checkpoints") == 0


async def test_copies_of_checkpoints_in_any_order_leave_the_accounting_as_it_is(
    core: "Core", edge: "Edge"
) -> None:
    """Also where a copy comes first, or when the checkpoint has long been applied."""
    await core.take(*frames(edge, 1))
    older = edge.checkpoint(1, head=9, pending=[(1, 9)], copies=COPIES)
    newer = edge.checkpoint(2, head=9, pending=[(1, 3)], copies=COPIES)
    await copied(core, older)
    assert await core.accounted() == {"received": 1, "accepted": 1}
    assert await core.count("checkpoints") == 0

    await core.take(older)
    await core.take(newer)
    before = await core.accounted()
    assert (before["unaccounted"], before["in_flight"]) == (6, 3)

    for partition in (1, 0):
        await copied(core, newer, partition=partition)
        await copied(core, older, partition=partition)
        assert await core.count("checkpoints") == 0
        assert await core.accounted() == before


async def test_copy_counts_as_redelivered_by_its_door_as_ever(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 4)
    await core.take(*sent)
    await copied(core, *sent[:3])
    await everywhere(core, edge.checkpoint(1, copies=COPIES))

    found = await core.accounted()

    assert (found["received"], found["redelivered"]) == (4, 3)
    assert "unaccounted" not in found
    by_door = await core.pool.fetch(
        "SELECT door, sum(settled) AS settled, sum(redelivered) AS redelivered FROM ledger_counts"
        " GROUP BY door"
    )
    assert {row["door"]: (row["settled"], row["redelivered"]) for row in by_door} == {
        "http": (4, 0),
        "kafka": (0, 3),
    }


async def test_pending_and_dropped_numbers_are_not_missing(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 6)
    await core.take(*sent[:4])
    await copied(core, *sent[:2])
    await copied(core, sent[4])
    checkpoint = edge.checkpoint(1, pending=[(2, 4)], dropped=[(5, 5)], copies=COPIES)
    await everywhere(core, checkpoint)

    found = await of_edge(core)

    assert (found.verdict, found.judged, found.under_way) == ("safe", 2, 3)


async def test_number_that_came_by_kafka_alone_is_told(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 3)
    await core.take(*sent[:2])
    await copied(core, *sent)
    await everywhere(core, edge.checkpoint(1, copies=COPIES))

    found = await of_edge(core)

    assert found.verdict == "unsafe"
    assert found.only_kafka.ranges == (NumberRange(epoch=edge.epoch, first=2, last=2),)


async def test_copies_that_only_kafka_makes_dead_letters_of_are_unsafe(
    core: "Core", edge: "Edge"
) -> None:
    await shadowing(core, edge)
    sent = frames(edge, 3)
    bad = edge.frame("speed", "fast", received=datetime.now(UTC))
    await core.take(*sent, bad)
    broken = sent[1].model_copy(update={"data": b"garbled on the way"})
    await copied(core, sent[0], broken, sent[2], bad)
    await everywhere(core, edge.checkpoint(1, copies=COPIES))

    found = await of_edge(core)

    assert (found.verdict, found.both) == ("unsafe", 4)
    assert found.dead_by_kafka.ranges == (NumberRange(epoch=edge.epoch, first=1, last=1),)


async def test_publisher_without_copies_writes_nothing(core: "Core", edge: "Edge") -> None:
    await core.take(*frames(edge, 3), edge.checkpoint(1))
    await copied(core, *frames(edge, 3))
    await compact(core.pool)

    assert await rows(core) == [0, 0, 0, 0]
    found = await told(core)
    assert (found.verdict, found.publishers) == ("undecided", ())
    assert "INGRESS_TRANSPORT=shadow" in found.reasons[0]


async def test_publishers_are_judged_apart(core: "Core", edge: "Edge") -> None:
    neighbour, plain = (type(edge)(publisher=name) for name in ("edge-2", "edge-3"))
    for each in (edge, neighbour):
        await shadowing(core, each)
        sent = frames(each, 4)
        await core.take(*sent)
        await copied(core, *(sent if each is edge else sent[1:]))
        await everywhere(core, each.checkpoint(1, copies=COPIES))
    await core.take(*frames(plain, 4), plain.checkpoint(1))

    found = await told(core)

    verdicts = {each.publisher: each.verdict.value for each in found.publishers}
    assert verdicts == {"edge-1": "safe", "edge-2": "unsafe"}
    assert found.verdict == "unsafe"
    assert (await told(core, publisher="edge-1")).verdict == "safe"


async def test_what_went_without_copies_is_never_judged(core: "Core", edge: "Edge") -> None:
    """Shadow, then HTTP alone, then shadow again, on one journal."""
    await shadowing(core, edge)
    sent = frames(edge, 2)
    await core.take(*sent)
    await copied(core, *sent)
    await everywhere(core, edge.checkpoint(1, copies=COPIES))
    await core.take(*frames(edge, 3), edge.checkpoint(2))
    again = type(edge)(epoch=UUID(int=9), sequence=edge.sequence)
    more = frames(again, 4)
    await core.take(*more)
    await copied(core, *more)
    await everywhere(core, again.checkpoint(3, first=edge.sequence, copies=COPIES))
    await everywhere(core, edge.checkpoint(4, copies=COPIES))

    found = await of_edge(core)

    assert (found.verdict, found.judged, found.under_way) == ("safe", 6, 3)


async def test_checkpoint_that_is_old_decides_nothing(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 3)
    await core.take(*sent)
    await copied(core, *sent)
    await everywhere(core, edge.checkpoint(1, copies=COPIES))
    await compact(core.pool)
    await age(core, timedelta(minutes=20))

    found = await of_edge(core)
    assert found.verdict == "undecided"
    assert "has come by every partition" in found.reasons[0]

    earlier = datetime.now(UTC) - timedelta(minutes=19)
    assert (await of_edge(core, until=earlier)).verdict == "safe"


async def test_too_little_traffic_decides_nothing(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 3)
    await core.take(*sent)
    await copied(core, *sent)
    await everywhere(core, edge.checkpoint(1, copies=COPIES))

    found = await of_edge(core, least=4)

    assert found.verdict == "undecided"
    assert found.reasons == ("too little traffic: 3 numbers were judged, 4 are wanted",)


async def test_report_of_all_workspaces_has_those_that_send_copies(
    core: "Core", edge: "Edge"
) -> None:
    await core.take(*frames(type(edge)(workspace="other"), 1))
    await shadowing(core, edge)
    end = datetime.now(UTC) + timedelta(minutes=1)
    since = end - timedelta(hours=1)

    found = await report(core.pool, None, since=since, until=end)
    assert [each.workspace for each in found] == ["acme"]
    assert await report(core.pool, "nobody", since=since, until=end) == []


async def test_the_greatest_numbers_are_no_trouble(core: "Core", edge: "Edge") -> None:
    greatest = 2**63 - 1
    edge.sequence = greatest - 1
    await everywhere(core, edge.checkpoint(0, first=greatest - 1, head=greatest - 2, copies=COPIES))
    sent = frames(edge, 2)
    await core.take(*sent)
    await copied(core, sent[0])
    await everywhere(core, edge.checkpoint(1, first=greatest - 1, head=greatest, copies=COPIES))

    found = await of_edge(core)

    assert found.only_http.ranges == (NumberRange(epoch=edge.epoch, first=greatest, last=greatest),)
    assert found.both == 1
