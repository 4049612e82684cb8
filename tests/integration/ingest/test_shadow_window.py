"""What the shadow report reads is kept for a window, in bounded tables, and then given up."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from core_ingest.ledger import shadow
from core_ingest.ledger.compactor import Compactor, compact
from tests.integration.ingest.shadowing import (
    COPIES,
    age,
    copied,
    everywhere,
    frames,
    of_edge,
    rows,
    shadowing,
)

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio


async def test_copies_that_come_after_the_switch_are_still_kept(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    sent = frames(edge, 3)
    checkpoint = edge.checkpoint(1, copies=COPIES)
    await core.take(*sent, checkpoint, edge.checkpoint(2))
    await compact(core.pool)
    await age(core, timedelta(hours=2))
    await core.pool.execute("UPDATE shadow_publishers SET copying = copying + interval '1 hour'")

    await copied(core, *sent, checkpoint)
    await copied(core, checkpoint, partition=1)

    now = datetime.now(UTC)
    found = await of_edge(core, since=now - timedelta(hours=3))
    assert (found.judged, found.both) == (3, 3)


async def test_window_is_about_what_came_first_in_it(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    early, late = frames(edge, 3), frames(edge, 4)
    await core.take(*early)
    await compact(core.pool)
    await core.pool.execute("UPDATE shadow_arrivals SET slot = slot - interval '2 hours'")
    await core.pool.execute(
        "UPDATE shadow_publishers SET kept_from = kept_from - interval '3 hours'"
    )
    await core.take(*late)
    await copied(core, *early, *late)
    await everywhere(core, edge.checkpoint(1, copies=COPIES))

    now = datetime.now(UTC)
    assert (await of_edge(core)).both == 4
    assert (await of_edge(core, since=now - timedelta(hours=3))).both == 7
    assert (
        await of_edge(core, since=now - timedelta(hours=3), until=now - timedelta(hours=1))
    ).both == 3


async def test_window_ends_in_bounded_steps_and_then_nothing_is_left(
    core: "Core", edge: "Edge"
) -> None:
    day = timedelta(days=1)
    await shadowing(core, edge)
    for hour in range(6):
        await core.settle(edge, [hour])
        await compact(core.pool)
        await core.pool.execute("UPDATE shadow_arrivals SET slot = slot - interval '1 hour'")
    assert await core.count("shadow_arrivals") == 6
    await core.pool.execute(
        "UPDATE shadow_arrivals SET slot = slot - interval '22 hours 30 minutes'"
    )

    left = []
    for _ in range(4):
        await shadow.expire(core.pool, day, 2)
        left.append(await core.count("shadow_arrivals"))
    assert left == [4, 2, 1, 1]
    assert (await of_edge(core, since=datetime.now(UTC) - 2 * day)).under_way == 0

    await age(core, 2 * day)
    await shadow.expire(core.pool, day)
    await shadow.expire(core.pool, day)
    assert await rows(core) == [0, 0, 0, 0]


async def test_awaited_checkpoints_are_bounded_and_the_oldest_come_first(
    core: "Core", edge: "Edge", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "MOST_AWAITED", 3)
    checkpoints = []
    for number in range(1, 6):
        (sent,) = frames(edge, 1)
        checkpoints.append(edge.checkpoint(number, copies=COPIES))
        await core.take(sent, checkpoints[-1])
        await copied(core, sent)
        await compact(core.pool)
    assert await core.count("shadow_checkpoints") == 3

    for partition in (0, 1):
        await copied(core, *checkpoints, partition=partition)
    await compact(core.pool)

    assert await core.count("shadow_checkpoints") == 0
    assert (await of_edge(core)).judged == 3

    await everywhere(core, edge.checkpoint(6, copies=COPIES))
    assert (await of_edge(core)).judged == 5


class Stop:
    async def wait(self) -> None:
        return None


async def test_compactor_ends_the_window(core: "Core", edge: "Edge") -> None:
    await shadowing(core, edge)
    await core.settle(edge, [0])
    await compact(core.pool)
    await age(core, timedelta(hours=2))

    await Compactor(core.pool, window=timedelta(hours=1)).run(Stop())

    assert await core.count("shadow_arrivals") == 0
