"""A load from its first look at the target to its report: one step after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from ingress_contracts.control import Checkpoint, CheckpointEpoch
from ingress_contracts.envelope import Envelope
from ingress_testbed.load.accounts import Accounts, Settlement, settlement
from ingress_testbed.load.engine import Step
from ingress_testbed.load.options import Options
from ingress_testbed.load.report import Report, StepReport
from ingress_testbed.load.saturation import overload
from ingress_testbed.load.schedule import Due, Plan, schedule, total
from ingress_testbed.load.target import AttemptFailed, Hopeless, Target
from ingress_testbed.load.traffic import Traffic
from ingress_testbed.load.view import Screen
from telematics_publisher.clock import wall_clock
from telematics_publisher.journal.epochs import new_epoch
from telematics_publisher.journal.ranges import ranges_of

_MICROSECONDS = 1_000_000
_PAUSE = 0.2
_REFRESH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Session:
    """Runs the steps of `options` against a target; `place` names it in the report.

    `accounts` is whoever can tell what core did with it, or None.
    """

    options: Options
    target: Target
    place: str
    accounts: Accounts | None
    screen: Screen

    async def run(self, stop: asyncio.Event) -> Report:
        """Run every step until one is too much, or `stop`. Raises Hopeless."""
        await self.target.check()
        reports: list[StepReport] = []
        for number, vehicles in enumerate(self.options.vehicles, start=1):
            plan = Plan(vehicles, self.options.interval, self.options.duration, self.options.seed)
            title = f"step {number} of {len(self.options.vehicles)}, {vehicles:,} vehicles"
            report = await self._step(plan, title, stop)
            reports.append(report)
            self.screen.step(report)
            if stop.is_set() or overload(report, self.options.bounds):
                break
        return Report(
            transport=self.target.name,
            target=self.place,
            steps=reports,
            bounds=self.options.bounds,
            interrupted=stop.is_set(),
        )

    async def _step(self, plan: Plan, title: str, stop: asyncio.Event) -> StepReport:
        options, clock = self.options, asyncio.get_running_loop().time
        before = None if self.accounts is None else await self.accounts.now()
        traffic = Traffic(plan.vehicles, plan.seed, options.workspace, options.publisher)
        start = wall_clock()
        epoch = new_epoch(start)

        def make(due: Due, sequence: int) -> Envelope:
            return traffic.envelope(
                due.vehicle, start + round(due.at * _MICROSECONDS), (epoch, sequence)
            )

        step = Step(schedule(plan), self.target, make, options.pace, clock)
        showing = asyncio.create_task(self._show(step, title, total(plan)))
        try:
            tally = await step.run(stop)
        except Hopeless:
            with suppress(
                Hopeless
            ):  # core is not to wait for what will not come, if it can be told
                await self._close(traffic, epoch, step.tally.numbered, step.tally.given_up)
            raise
        finally:
            showing.cancel()
            await asyncio.wait([showing])
        closed = await self._close(traffic, epoch, tally.numbered, tally.given_up)
        told: Settlement | None = None
        if self.accounts is not None and before is not None:
            told = await settlement(
                self.accounts, before, tally.numbered, options.pace.patience, clock
            )
        return StepReport(plan, tally, told, closed)

    async def _show(self, step: Step, title: str, messages: int) -> None:
        with self.screen.progress(title, messages) as show:
            while True:
                show(step.tally)
                await asyncio.sleep(_REFRESH_SECONDS)

    async def _close(
        self, traffic: Traffic, epoch: UUID, numbered: int, given_up: Sequence[int]
    ) -> bool:
        """Tell core by a checkpoint which numbers there were; return whether that arrived."""
        if not numbered:
            return True
        ours = CheckpointEpoch(
            epoch=epoch,
            first=0,
            head=numbered - 1,
            dropped=tuple(ranges_of(sorted(given_up))),
            closed=True,
        )
        return await _within(
            self.options.pace.patience, lambda: self._send_checkpoint(traffic, ours)
        )

    async def _send_checkpoint(self, traffic: Traffic, ours: CheckpointEpoch) -> bool:
        now = wall_clock()
        routes = tuple(await self.target.routes())
        checkpoint = Checkpoint(number=now, epochs=(ours,), routes=routes)
        answer = await self.target.send([traffic.checkpoint(checkpoint, now)])
        return not answer.refused


async def _within(patience: float, attempt: Callable[[], Awaitable[bool]]) -> bool:
    """Return what an attempt returns, made again and again for `patience` seconds; else False."""
    try:
        async with asyncio.timeout(patience):
            while True:
                try:
                    return await attempt()
                except AttemptFailed as error:
                    await asyncio.sleep(error.retry_after or _PAUSE)
    except TimeoutError:
        return False
