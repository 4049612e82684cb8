"""A trial of mishaps: a replay through a queue, during which something happens to it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import httpx

from ingress_testbed.faults.crashes import settled
from ingress_testbed.faults.design import API, CONSUMER, PUBLISHER, Design
from ingress_testbed.faults.mishaps import Mishap
from ingress_testbed.faults.plant import Plant
from ingress_testbed.faults.planting import planted
from ingress_testbed.faults.proxy import Proxy
from ingress_testbed.faults.verdict import Ending, ending_of
from ingress_testbed.servers.kafka import KafkaCluster

_LOOK_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Endured:
    """How it ended, and what was seen meanwhile.

    `false_alarms` is the greatest number of messages that the accounting ever had for unaccounted.
    `rebalances` are those during the mishap, as the first consumer had them.
    """

    ending: Ending
    false_alarms: int
    rebalances: int


async def endured(  # noqa: PLR0913, PLR0917 — what happens, and on what ground
    design: Design,
    mishap: Mishap,
    directory: Path,
    postgres_url: str,
    cluster: KafkaCluster,
    road: Proxy | None = None,
) -> Endured:
    """Replay through a topic of `cluster` to one consumer until the mishap is over; take stock.

    Raises NothingMoves or ProcessEnded where the system does not recover.
    """
    async with planted(design, directory, postgres_url, road, cluster) as plant:
        await plant.start(API)
        consumer = await plant.start(CONSUMER)
        await plant.start(PUBLISHER)
        watch = _Watch()
        watching = asyncio.create_task(watch.over(plant))
        try:
            before = _assignments(consumer.lines())
            await mishap(plant)
            rebalances = _assignments(consumer.lines()) - before
            if not design.resend:  # else the last life of the publisher reads it to the end
                await plant.end_replay()
            await settled(plant, plant.frames)
            ending = await ending_of(plant)
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        if not watching.cancelled():
            watching.result()  # it went blind on the way: say why
        return Endured(ending, watch.unaccounted, rebalances)


class _Watch:
    """Looks at the accounting again and again."""

    def __init__(self) -> None:
        self.unaccounted = 0

    async def over(self, plant: Plant) -> None:
        while True:
            try:
                accounting = await plant.accounting()
            except httpx.HTTPError:
                pass  # the API has no database; whoever needs it says so
            else:
                self.unaccounted = max(self.unaccounted, accounting["unaccounted"])
            await asyncio.sleep(_LOOK_EVERY_SECONDS)


def _assignments(log: list[str]) -> int:
    return sum('"partitions_assigned"' in line for line in log)
