"""A run of the demo: install, watch until everything has arrived, compare, report."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ingress_testbed.demo import comparison, guide, targets
from ingress_testbed.demo.core_client import CoreClient, HopSilent
from ingress_testbed.demo.installation import (
    WORKSPACE,
    Feed,
    Installation,
    Publishers,
    installed,
)
from ingress_testbed.demo.journey import Journey, Settled, journey_of, newest_settled
from ingress_testbed.demo.memory import PeakMemory
from ingress_testbed.demo.observer import Observer
from ingress_testbed.demo.outage import Kind, Outage
from ingress_testbed.demo.processes import Processes
from ingress_testbed.demo.progress import Progress
from ingress_testbed.demo.report import TERMS, Expected, Report, differences
from ingress_testbed.demo.samples import Sample, Samples
from ingress_testbed.demo.screen import Screen
from ingress_testbed.demo.survey import Survey, survey
from ingress_testbed.recordings import Frame, Recording, RecordingError
from ingress_testbed.servers.kafka import KafkaCluster
from ingress_testbed.simulator.protocol import message
from ingress_testbed.truth import Truth, truth_of

_LOOK_EVERY_SECONDS = 0.5
_FIRST_FRAME_SECONDS = 60.0
_SILENCE_SECONDS = 60.0
_SHOWN_MISMATCHES = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to replay to how many subscribers, and for how long (None: to the recording's end).

    `transport` is the publishers' way to core, and `outage` what happens to the broker meanwhile.
    `scrape_file` tells a Prometheus where metrics are.
    """

    recording: Recording
    speed: float
    rebase: bool
    seconds: float | None
    subscribers: int
    transport: str = "http"
    outage: Kind = "none"
    scrape_file: Path | None = None

    @property
    def publishers(self) -> tuple[str, ...]:
        """The publisher ids: each subscriber is a publisher of its own."""
        return tuple(f"publisher-{number}" for number in range(1, self.subscribers + 1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The report, and a sentence for each thing that is not right."""

    report: Report
    differences: tuple[str, ...]


@asynccontextmanager
async def running(
    plan: Plan,
    directory: Path,
    postgres_url: str,
    screen: Screen,
    cluster: KafkaCluster | None = None,
) -> AsyncIterator["Run"]:
    """Start everything for `plan`, and stop it at the end. Raises ProcessEnded, RecordingError.

    Where the way to core needs a topic, it is one of `cluster`.
    """
    found = await asyncio.to_thread(survey, plan.recording)
    if not found.frames:
        raise RecordingError(f"{plan.recording.path} holds no frames: there is nothing to replay")
    screen.say(f"recording    {found.frames:,} frames of {len(found.labels):,} vehicles")
    feed = Feed(plan.recording.path, plan.speed, plan.rebase, plan.seconds, found.labels)
    edges = Publishers(plan.publishers, plan.transport)
    async with (
        installed(directory, postgres_url, feed, edges, cluster) as installation,
        CoreClient(installation.api_url, WORKSPACE, installation.read_key) as core,
        Observer(installation, core, WORKSPACE) as observer,
    ):
        for name, text in guide.places(installation):
            screen.say(f"{name:<12} {text}")
        outage = Outage.of(plan.outage, cluster, plan.seconds, screen.say)
        try:
            with targets.followed(plan.scrape_file, installation):
                yield Run(plan, found, installation, core, observer, screen, outage)
        finally:
            if outage is not None:
                await outage.end()


class Run:
    """One replay, from its first frame to its report."""

    def __init__(  # noqa: PLR0913, PLR0917 — what it watches, and through what
        self,
        plan: Plan,
        found: Survey,
        installation: Installation,
        core: CoreClient,
        observer: Observer,
        screen: Screen,
        outage: Outage | None = None,
    ) -> None:
        self._outage = outage
        self._plan = plan
        self._found = found
        self._installation = installation
        self._core = core
        self._observer = observer
        self._screen = screen
        self._samples = Samples()
        self._memory = PeakMemory()
        self._journey: Journey | None = None
        self._guided = False

    @property
    def core(self) -> CoreClient:
        """Core, for as long as it is up."""
        return self._core

    @property
    def processes(self) -> Processes:
        """What must live as long as this is used."""
        return self._installation.processes

    async def to_the_end(self, servers: Mapping[str, int]) -> Verdict:
        """Watch until all has arrived or nothing moves any more, then compare and report.

        `servers` are process ids of servers that are ours, by name: their memory is watched like
        our processes'. Raises HopSilent.
        """
        processes = {name: process.pid for name, process in self._installation.running.items()}
        roots = processes | dict(servers)
        with self._screen:
            seconds = await self._watch(roots)
        self._say_how_it_went()
        return await self._judge(seconds)

    async def _watch(self, roots: Mapping[str, int]) -> float:
        """Look at all hops again and again; return the seconds from the first frame to the end."""
        started = await self._first_frame()
        heard = started
        progress = Progress()
        while True:
            try:
                sample = await self._look(time.monotonic() - started)
            except HopSilent:
                if time.monotonic() - heard > _SILENCE_SECONDS:
                    raise
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
                continue
            heard = time.monotonic()
            self._memory.look(roots)
            await self._guide(sample)
            if self._outage is not None:
                await self._outage.follow(sample)
            if progress.over(sample) and (self._outage is None or self._outage.over):
                return sample.at
            if progress.stalled(sample):
                self._screen.say("nothing moves any more; this is how it stands:")
                return sample.at
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def _first_frame(self) -> float:
        """Return when the provider has sent something. Raises ProcessEnded if it does not."""

        async def begun() -> float | None:
            provider = await self._observer.provider()
            return time.monotonic() if any(provider.sent.values()) else None

        first = self._installation.running[self._plan.publishers[0]]
        return await self.processes.ready(first, begun, seconds=_FIRST_FRAME_SECONDS)

    async def _look(self, at: float) -> Sample:
        settled = None
        if self._journey is None:  # before the accounting, which folds what is looked for
            settled = await newest_settled(
                self._installation.pool, WORKSPACE, self._plan.publishers[0]
            )
        sample = await self._observer.sample(at, self._found.frames * self._plan.subscribers)
        self._samples.add(sample)
        self._screen.show(self._samples, _phase(sample))
        if settled is not None:
            await self._follow(settled)
        return sample

    async def _follow(self, settled: Settled) -> None:
        """Put the journey of the frame together that core has just settled."""
        frame = await asyncio.to_thread(_frame, await self._frames(), settled.frame)
        if frame is not None:
            self._journey = await journey_of(
                self._installation.pool,
                self._core,
                settled,
                message(frame),
                self._installation.queue,
            )

    async def _guide(self, sample: Sample) -> None:
        """Once there is something to see, say how to see it.

        A vehicle is there a moment before its first values: its asset is made beforehand.
        """
        if self._guided or not sample.settled:
            return
        async for vehicle in self._core.vehicles():
            if vehicle["signals"]:
                self._guided = True
                for line in guide.curl_lines(self._core, vehicle):
                    self._screen.say(line)
                for line in guide.queue_lines(self._installation):
                    self._screen.say(line)
                return

    def _say_how_it_went(self) -> None:
        if self._journey is not None:
            timely = self._plan.rebase and self._plan.speed == 1
            self._screen.say(guide.journey_table(self._journey, timely=timely), keep=True)

    async def _judge(self, seconds: float) -> Verdict:
        """Compare what core has with what was sent."""
        provider = await self._observer.provider()
        frames = await self._frames()
        truth = await asyncio.to_thread(_truth, frames, max(provider.sent.values()))
        served = await self._core.snapshot()
        wrong = list(comparison.mismatches(served, truth.snapshot))
        accounting = await self._core.accounting()
        terms = {name: int(accounting[name]) for name in TERMS}
        by_door = await self._observer.by_door()
        last = self._samples.last
        report = Report(
            **terms,
            via_kafka=by_door.get("kafka", 0),
            via_http=by_door.get("http", 0),
            failovers=0 if last is None else last.failovers,
            standstill_seconds=0.0 if last is None else round(last.standstill, 3),
            snapshot_mismatches=len(wrong),
            facts_stored=await self._observer.facts_stored(),
            seconds=round(seconds, 3),
            peak_rss_bytes=dict(sorted(self._memory.by_name.items())),
        )
        expected = Expected(sum(provider.sent.values()), truth.facts)
        return Verdict(report, (*differences(report, expected), *wrong[:_SHOWN_MISMATCHES]))

    async def _frames(self) -> Recording:
        """Return the recording as it is sent: with all times moved as the simulator moved them."""
        return self._plan.recording.moved((await self._observer.provider()).shift)


def _phase(sample: Sample) -> str:
    if not sample.finished:
        return "replaying"
    return "settling" if not sample.arrived else "last checkpoint"


def _frame(recording: Recording, number: int) -> Frame | None:
    return next(islice(recording.frames(), number, None), None)


def _truth(recording: Recording, frames: int) -> Truth:
    return truth_of(islice(recording.frames(), frames))
