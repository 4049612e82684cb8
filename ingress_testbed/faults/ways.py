"""Mishaps of the way to core: it is changed while a recording is replayed, and one way fails."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingress_testbed.faults.crashes import settled
from ingress_testbed.faults.design import API, CONSUMER, PUBLISHER, Design
from ingress_testbed.faults.mishaps import Mishap, metric, more, progress, until
from ingress_testbed.faults.plant import Plant
from ingress_testbed.faults.planting import planted
from ingress_testbed.faults.verdict import Ending, ending_of
from ingress_testbed.servers.broker import Broker
from ingress_testbed.servers.kafka import KafkaCluster

CAUTIOUS = {
    "INGRESS_TRANSPORT": "queue-first",
    "INGRESS_QUEUE_DEADLINE_SECONDS": "2",
    "INGRESS_QUEUE_PAUSE_SECONDS": "0.5",
    "INGRESS_QUEUE_PROBES": "2",
}
"""Settings of a publisher that falls over, and comes back, sooner than usual."""

_READ = "core_consumer_records_total"
_FAILOVERS = "publisher_failovers_total"
_STANDSTILL = "publisher_standstill_seconds_total"


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
            await until(plant, "traffic does not return to Kafka", lambda: _trusted(plant))
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


@dataclass(frozen=True, slots=True)
class Pulse:
    """A broker that hangs and answers by turns, `times` over: seconds of either."""

    hangs: float
    answers: float
    times: int


@dataclass(slots=True)
class Felt:
    """What a publisher's traffic felt of a mishap: changes to HTTP, and seconds it stood still."""

    failovers: float = 0.0
    standstill: float = 0.0


def pulsing(broker: Broker, pulse: Pulse, felt: Felt) -> Mishap:
    """Return the mishap that a broker comes and goes in a rhythm of its own, or is slow: see Pulse.

    `felt` is filled in when the last pulse is over, before traffic is back on Kafka for good.
    """

    async def mishap(plant: Plant) -> None:
        await _goes_over_kafka(plant)
        before = await plant.metrics(PUBLISHER)
        for _ in range(pulse.times):
            await asyncio.to_thread(broker.hang)
            await asyncio.sleep(pulse.hangs)  # the rhythm, not a synchronisation
            await asyncio.to_thread(broker.resume)
            await asyncio.sleep(pulse.answers)  # likewise
        after = await plant.metrics(PUBLISHER)
        felt.failovers = after.get(_FAILOVERS, 0.0) - before.get(_FAILOVERS, 0.0)
        felt.standstill = after.get(_STANDSTILL, 0.0) - before.get(_STANDSTILL, 0.0)
        await _goes_over_kafka(plant)

    return mishap


@dataclass(frozen=True, slots=True)
class Shadowed:
    """How it ended, and what core's shadow report says."""

    ending: Ending
    report: Mapping[str, Any]


async def shadowed(
    design: Design,
    directory: Path,
    postgres_url: str,
    cluster: KafkaCluster,
    harm: tuple[Callable[[], None], Callable[[], None]] | None = None,
) -> Shadowed:
    """Replay under shadow to the end; if there is `harm`, copies fail from it until it is mended.

    Raises NothingMoves or ProcessEnded.
    """
    async with planted(design, directory, postgres_url, cluster=cluster) as plant:
        await plant.start(API)
        await plant.start(CONSUMER)
        await plant.start(PUBLISHER)
        if harm is not None:
            await progress(plant)
            await asyncio.to_thread(harm[0])
            await until(
                plant,
                "no copy fails",
                lambda: _said(plant, '"copies_missing"'),
            )
            await progress(plant)  # what the producer holds may still be written, this never
            await asyncio.to_thread(harm[1])
        await settled(plant, plant.frames)
        await until(plant, "no checkpoint comes both ways", lambda: _judged(plant))
        return Shadowed(await ending_of(plant), await plant.shadow_report())


async def _said(plant: Plant, event: str) -> bool:
    """Return whether the publisher's present life has logged an event."""
    return any(event in line for line in plant.running[PUBLISHER].lines())


async def _judged(plant: Plant) -> bool:
    """Return whether the report has a verdict, with nothing on its way any more."""
    report = await plant.shadow_report()
    under_way = sum(one["under_way"] for one in report["publishers"])
    return report["verdict"] != "undecided" and not under_way


async def _trusted(plant: Plant) -> bool:
    """Return whether the publisher's breaker is closed: what core reads may be older than that."""
    metrics = await plant.get(plant.metrics_url)
    return 'publisher_breaker_state{publisher_breaker_state="closed"} 1.0' in metrics.text


async def _goes_over_kafka(plant: Plant) -> None:
    """Return once core's consumer has stored some hundred records more."""
    before = await metric(plant, CONSUMER, _READ)
    await until(
        plant,
        "nothing goes over Kafka",
        lambda: more(lambda: metric(plant, CONSUMER, _READ), before, 300),
    )
