"""A trial of pressure: more arrives than can be worked off, and memory must not tell for how long."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ingress_testbed.demo.memory import PeakMemory
from ingress_testbed.faults.crashes import settled
from ingress_testbed.faults.design import API, PUBLISHER, Design
from ingress_testbed.faults.planting import planted
from ingress_testbed.recordings import RecordingError
from ingress_testbed.servers.postgres import OwnPostgres

_SPARE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a run under pressure was like: peaks of resident memory in bytes, by process.

    `sent` frames came, of which `pending` were still in the journal when the last one had come.
    `accounting` is core's after the journal was drained.
    """

    peaks: Mapping[str, int]
    sent: int
    pending: int
    accounting: Mapping[str, int]


async def capacity(design: Design, directory: Path, server: OwnPostgres) -> float:
    """Return how many frames a second go all the way, when as many come as can be read.

    They come for `design.seconds`; the time for the rest of them to be settled counts as well.
    """
    async with planted(replace(design, speed="max"), directory, server.url) as plant:
        await plant.start(API)
        await plant.start(PUBLISHER)
        begun = asyncio.get_running_loop().time()
        sent = await plant.all_sent(_at_most(design))
        await settled(plant, sent)
        return sent / (asyncio.get_running_loop().time() - begun)


def at_rate(design: Design, rate: float) -> Design:
    """Return `design` at the speed at which `rate` frames a second come on the average.

    Raises RecordingError where the recording is too short for that. `design.seconds` must be set.
    """
    if design.seconds is None:
        raise ValueError("how long shall it be so? Set the design's seconds")
    number = int(rate * design.seconds)
    frames = design.recording.frames()
    first, last = next(frames, None), next(islice(frames, number - 2, None), None)
    frames.close()
    if first is None or last is None:
        raise RecordingError(
            f"{design.recording.path} has less than {number:,} frames: record more"
        )
    return replace(design, speed=f"{(last.time - first.time) / 1000 / design.seconds:.6f}")


async def loaded(design: Design, directory: Path, server: OwnPostgres) -> Loaded:
    """Replay for `design.seconds` at its speed, then drain the journal; watch the memory throughout."""
    memory = PeakMemory()
    async with planted(design, directory, server.url) as plant:
        await plant.start(API)
        await plant.start(PUBLISHER)
        roots = {name: process.pid for name, process in plant.running.items()}
        roots["postgres"] = server.pid
        sent = await plant.all_sent(_at_most(design), lambda: memory.look(roots))
        pending = (await plant.metrics())["publisher_journal_pending_records"]
        await settled(plant, sent)
        memory.look(roots)
        await plant.stop(PUBLISHER)
        return Loaded(memory.by_name, sent, int(pending), await plant.accounting())


def _at_most(design: Design) -> float:
    """Return what a replay may take before something is wrong."""
    return (design.seconds or 0) + _SPARE_SECONDS
