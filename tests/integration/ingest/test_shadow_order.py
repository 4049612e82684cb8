"""Sends, losses, checkpoints and a queue in any order: the report accuses the lost copies alone."""

import random
from typing import TYPE_CHECKING

import pytest

from core_ingest.ledger.compactor import compact
from tests.integration.ingest.shadowing import COPIES, copied, frames, of_edge, shadowing

if TYPE_CHECKING:
    from ingress_contracts.envelope import Envelope
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio


class Copying:
    """A publisher that shadows, its two partitions, and what of it the report must say by now."""

    def __init__(self, edge: "Edge", dice: random.Random) -> None:
        self.edge = edge
        self.dice = dice
        self.partitions: list[list[Envelope]] = [[], []]
        self.numbers = 0
        self.come: set[int] = set()
        self.lost: set[int] = set()
        self.pending: dict[int, Envelope] = {}
        self.acknowledged: dict[int, set[int]] = {0: set()}
        self.passed = [0, 0]

    async def send(self, core: "Core") -> None:
        """Hand out some numbers: most go over HTTP, most copies into a partition."""
        for frame in frames(self.edge, self.dice.randrange(1, 6)):
            number = frame.sequence or 0
            self.numbers = number + 1
            if self.dice.random() < 0.8:
                self.partitions[number % 2].append(frame)
            else:
                self.lost.add(number)
            self.pending[number] = frame
            if self.dice.random() < 0.8:
                await self.answer(core, number)

    async def answer(self, core: "Core", number: int) -> None:
        await core.take(self.pending.pop(number))
        self.come.add(number)

    async def catch_up(self, core: "Core") -> None:
        for number in sorted(self.pending):
            if self.dice.random() < 0.5:
                await self.answer(core, number)

    async def report(self, core: "Core") -> None:
        """Send a checkpoint over HTTP, and behind the copies into each partition."""
        number = len(self.acknowledged)
        pending = [(each, each) for each in sorted(self.pending)]
        checkpoint = self.edge.checkpoint(
            number, head=self.numbers - 1, pending=pending, copies=COPIES
        )
        self.acknowledged[number] = set(range(self.numbers)) - self.pending.keys()
        await core.take(checkpoint)
        for partition in self.partitions:
            partition.append(checkpoint)

    async def consume(self, core: "Core") -> None:
        """Let a partition go on by some records."""
        index = self.dice.randrange(2)
        queue = self.partitions[index]
        batch = [queue.pop(0) for _ in range(min(len(queue), self.dice.randrange(1, 12)))]
        if batch:
            await copied(core, *batch, partition=index)
        for each in batch:
            if each.sequence is None:
                self.passed[index] += 1
            else:
                self.come.add(each.sequence)

    async def compare(self, core: "Core") -> None:
        found = await of_edge(core)
        judged = self.acknowledged[min(self.passed)]
        missing = {
            number for each in found.only_http.ranges for number in range(each.first, each.last + 1)
        }
        assert missing == judged & self.lost
        assert found.both == len(judged - self.lost)
        assert found.only_kafka.numbers == found.dead_by_kafka.numbers == 0
        assert found.under_way == len(self.come - judged)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_order_exactly_the_lost_copies_are_missing(
    core: "Core", edge: "Edge", seed: int
) -> None:
    dice = random.Random(seed)
    await shadowing(core, edge)
    copying = Copying(edge, dice)
    steps = [copying.send, copying.catch_up, copying.report, copying.consume, copying.compare]

    for _ in range(60):
        step = dice.choices(steps, weights=[4, 1, 2, 5, 1])[0]
        await step(core)
        if dice.random() < 0.3:
            await compact(core.pool)

    while any(copying.partitions):
        await copying.consume(core)
    await copying.compare(core)
    assert copying.acknowledged[min(copying.passed)] & copying.lost
