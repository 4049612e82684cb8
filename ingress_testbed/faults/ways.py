"""Mishaps of the way to core: it is changed while a recording is replayed, and one way fails."""

import asyncio
from collections.abc import Callable, Sequence

from ingress_testbed.faults.design import CONSUMER, PUBLISHER
from ingress_testbed.faults.mishaps import Mishap, metric, more, progress, until
from ingress_testbed.faults.plant import Plant

CAUTIOUS = {
    "INGRESS_TRANSPORT": "queue-first",
    "INGRESS_QUEUE_DEADLINE_SECONDS": "2",
    "INGRESS_QUEUE_PAUSE_SECONDS": "0.5",
    "INGRESS_QUEUE_PROBES": "2",
}
"""Settings of a publisher that falls over, and comes back, sooner than usual."""

_READ = "core_consumer_records_total"
_FAILOVERS = "publisher_failovers_total"


def switched(*transports: str) -> Mishap:
    """Return the mishap that the publisher is restarted under each of `transports` in turn."""

    async def mishap(plant: Plant) -> None:
        for transport in transports:
            await progress(plant)
            await plant.stop(PUBLISHER)
            await plant.start(PUBLISHER, {"INGRESS_TRANSPORT": transport})
        await progress(plant)

    return mishap


def fallen_over(harms: Sequence[tuple[Callable[[], None], Callable[[], None]]]) -> Mishap:
    """Return the mishap that Kafka fails by each of `harms`, and is mended by what follows it.

    Traffic must go on without it, and over it again afterwards.
    """

    async def mishap(plant: Plant) -> None:
        for harm, mend in harms:
            await _goes_over_kafka(plant)
            before = await metric(plant, PUBLISHER, _FAILOVERS)
            await asyncio.to_thread(harm)
            await until(
                plant,
                "traffic does not fall over",
                lambda before=before: more(  # type: ignore[misc] # bound at once
                    lambda: metric(plant, PUBLISHER, _FAILOVERS), before, 1
                ),
            )
            await progress(plant)
            await asyncio.to_thread(mend)
        await _goes_over_kafka(plant)

    return mishap


async def _goes_over_kafka(plant: Plant) -> None:
    """Return once core's consumer has stored some hundred records more."""
    before = await metric(plant, CONSUMER, _READ)
    await until(
        plant,
        "nothing goes over Kafka",
        lambda: more(lambda: metric(plant, CONSUMER, _READ), before, 300),
    )
