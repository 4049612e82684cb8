"""A trial of crashes: core and publisher die again and again while a recording is replayed."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingress_testbed.demo.processes import Process
from ingress_testbed.faults.deaths import AtPoint, Death
from ingress_testbed.faults.design import API, CONSUMER, PUBLISHER, Design
from ingress_testbed.faults.plant import Plant
from ingress_testbed.faults.planting import planted
from ingress_testbed.faults.verdict import Ending, ending_of
from ingress_testbed.servers.kafka import KafkaCluster

_DEATH_SECONDS = 120.0
_QUIET_SECONDS = 120.0
_LOOK_EVERY_SECONDS = 0.1
_EVENTS = 2  # connected, subscribed
KILLED = 128 + 9
"""Exit code after SIGKILL, as shells and our guardians have it."""

_SMALL_BATCHES = {  # many commits, so that deaths find some
    CONSUMER: {"CORE_CONSUMER_BATCH_RECORDS": "50"},
    PUBLISHER: {"PUBLISHER_BATCH_RECORDS": "50"},
}


async def crash(
    design: Design,
    deaths: Mapping[str, Sequence[Death]],
    directory: Path,
    postgres_url: str,
    cluster: KafkaCluster | None = None,
) -> Ending:
    """Replay with all `deaths`, let the dying finish in a last life, and take stock.

    They die and begin anew independently of each other; an API without deaths lives throughout.
    Raises ProcessEnded where one does not die as it should, or does not finish.
    """
    async with planted(design, directory, postgres_url, cluster=cluster) as plant:
        if API not in deaths:
            await plant.start(API)
        async with asyncio.TaskGroup() as both:
            for name in deaths:
                both.create_task(_die_again_and_again(plant, name, deaths[name]))
        await settled(plant, plant.frames)
        return await ending_of(plant)


async def _die_again_and_again(plant: Plant, name: str, deaths: Sequence[Death]) -> None:
    """Live and die as often as there are deaths; then begin the last life."""
    extra = _SMALL_BATCHES.get(name, {})
    for death in deaths:
        if isinstance(death, AtPoint):
            fault = {
                "INGRESS_FAULTS": f"{death.point}:kill@{death.passage}",
                "INGRESS_FAULTS_ALLOWED": "yes",
            }
            process = await plant.start(name, {**extra, **fault})
            await _died(process, death)
        else:
            process = await plant.start(name, extra)
            await asyncio.sleep(death.seconds)  # the dice's choice, not a synchronisation
            await plant.kill(name)
    await plant.start(name)


async def _died(process: Process, death: AtPoint) -> None:
    try:
        async with asyncio.timeout(_DEATH_SECONDS):
            code = await asyncio.shield(process.end)
    except TimeoutError:
        raise process.ended(f"never passed {death}") from None
    last = process.tail(1)
    if code != KILLED or not last or death.point not in last[0]:
        raise process.ended(f"should have been killed at {death}, but ended with code {code}")


async def settled(plant: Plant, frames: int) -> None:
    """Return once the publisher has read `frames` in its present life and core has all it sent.

    Raises ProcessEnded where that does not come about, or nothing moves for two minutes.
    """
    publisher = plant.running[PUBLISHER]
    loop = asyncio.get_running_loop()
    marks, moved = None, loop.time()
    while True:
        for process in plant.running.values():
            if process.end.done():
                raise process.ended()
        metrics = await plant.metrics()
        read = metrics.get("publisher_frames_received_total", 0.0)  # no stream, no such metric
        pending = metrics["publisher_journal_pending_records"]
        journalled = metrics["publisher_records_journalled_total"]
        if read > frames and journalled >= frames + _EVENTS and not pending:
            return  # read counts the echo as well
        if (read, pending) != marks:
            marks, moved = (read, pending), loop.time()
        elif loop.time() - moved > _QUIET_SECONDS:
            raise publisher.ended(f"stands still: {read:g} frames read, {pending:g} pending")
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
