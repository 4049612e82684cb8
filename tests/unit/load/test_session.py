import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ingress_testbed.load.accounts import TERMS, Account
from ingress_testbed.load.engine import Pace
from ingress_testbed.load.options import Options
from ingress_testbed.load.report import Report
from ingress_testbed.load.saturation import Bounds
from ingress_testbed.load.session import Session
from ingress_testbed.load.target import AttemptFailed, Hopeless
from ingress_testbed.load.view import Screen
from tests.unit.load.fakes import FakeTarget, run

PACE = Pace(batch=5, patience=20.0)


class FakeAccounts:
    """A core that has settled what its target took, once it has been asked `slow` times more."""

    def __init__(self, target: FakeTarget, slow: int = 0, before: int = 0) -> None:
        self._target = target
        self._slow = slow
        self._before = before
        self._asked = 0

    async def now(self) -> Account:
        taken = sum(map(len, self._target.taken))
        in_flight = 0
        if taken:
            self._asked += 1
            in_flight = taken if self._asked <= self._slow else 0
        accepted = self._before + taken - in_flight
        found = {"received": self._before + taken, "accepted": accepted, "in_flight": in_flight}
        return dict.fromkeys(TERMS, 0) | found


def ran(
    target: FakeTarget,
    vehicles: tuple[int, ...] = (10,),
    accounts: FakeAccounts | None = None,
    pace: Pace = PACE,
    stop_at: float | None = None,
) -> Report:
    options = Options(
        vehicles=vehicles,
        interval=1.0,
        duration=10.0,
        seed=1,
        workspace="acme",
        publisher="load",
        pace=pace,
        bounds=Bounds(),
    )

    async def load() -> Report:
        stop = asyncio.Event()
        if stop_at is not None:
            asyncio.get_running_loop().call_later(stop_at, stop.set)
        return await Session(options, target, "here", accounts, Screen(to_stderr=True)).run(stop)

    return run(load())


async def at_once() -> None:
    """Take no time."""


def slow_after(calls: int, seconds: float) -> Callable[[], Awaitable[None]]:
    """Return work that takes no time for some calls, and then so many seconds each."""
    left = calls

    async def work() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            await asyncio.sleep(seconds)

    return work


def test_each_step_has_an_epoch_of_its_own_which_a_checkpoint_closes() -> None:
    target = FakeTarget(at_once)

    report = ran(target, (10, 20))

    assert [one.tally.acknowledged for one in report.steps] == [100, 200]
    epochs = [one.epochs[0] for one in target.checkpoints]
    assert [(one.first, one.head, one.closed) for one in epochs] == [(0, 99, True), (0, 199, True)]
    assert epochs[0].epoch != epochs[1].epoch
    assert target.checkpoints[0].number < target.checkpoints[1].number
    assert not epochs[0].dropped
    assert not epochs[0].pending


def test_closing_checkpoint_names_what_was_given_up() -> None:
    pace = Pace(batch=5, senders=1, queue=1_000, patience=15.0)
    target = FakeTarget(slow_after(3, 14.0))

    report = ran(target, pace=pace)

    tally = report.steps[0].tally
    (closing,) = target.checkpoints
    (ours,) = closing.epochs
    given_up = {number for low, high in ours.dropped for number in range(low, high + 1)}
    assert given_up == set(tally.given_up) != set()
    assert ours.head == tally.numbered - 1
    assert given_up | {n for numbers in target.taken for n in numbers} == set(range(tally.numbered))
    assert report.saturation is not None


def test_checkpoint_that_does_not_arrive_is_said() -> None:
    async def work() -> None:
        if target.taken and sum(map(len, target.taken)) == 100:
            raise AttemptFailed("unreachable", "gone")

    target = FakeTarget(work)

    report = ran(target)

    assert report.steps[0].tally.acknowledged == 100
    assert report.steps[0].closed is False


def test_load_that_can_go_no_further_tells_core_what_will_not_come() -> None:
    async def work() -> None:
        if sum(map(len, target.taken)) == 50 and not target.checkpoints and not refused:
            refused.append(True)
            raise Hopeless("the batch is too large")

    refused: list[bool] = []
    target = FakeTarget(work)

    with pytest.raises(Hopeless, match="too large"):
        ran(target, pace=Pace(batch=1, senders=1, patience=20.0))

    (closing,) = target.checkpoints
    (ours,) = closing.epochs
    assert (ours.head, ours.dropped, ours.closed) == (50, ((50, 50),), True)


def test_steps_end_at_the_first_that_is_too_much() -> None:
    async def work() -> None:
        await asyncio.sleep(0.2)  # 25 messages a second, whatever is asked for

    target = FakeTarget(work)
    pace = Pace(batch=5, senders=1, queue=10, patience=5.0)

    report = ran(target, (5, 8, 60, 120), pace=pace)

    assert [one.plan.vehicles for one in report.steps] == [5, 8, 60]
    assert report.saturation is not None
    assert (report.saturation.step, report.saturation.sustained) == (2, 8.0)


def test_core_is_asked_until_it_has_settled_everything() -> None:
    target = FakeTarget(at_once)

    (step,) = ran(target, accounts=FakeAccounts(target, slow=7, before=1_000)).steps

    assert step.exact
    assert step.settlement is not None
    assert step.settlement.settled
    assert 0.6 < step.settlement.seconds < 0.8
    assert step.settlement.terms["received"] == 100  # what was there before is not counted


def test_core_that_does_not_settle_in_time_is_reported_so() -> None:
    target = FakeTarget(at_once)

    report = ran(target, accounts=FakeAccounts(target, slow=10**6))

    (step,) = report.steps
    assert step.settlement is not None
    assert not step.settlement.settled
    assert not step.exact
    assert not report.good
    assert step.achieved_rate == 0.0


def test_stop_ends_the_run_with_what_it_has() -> None:
    target = FakeTarget(at_once)

    report = ran(target, (10, 20), FakeAccounts(target), stop_at=5.0)

    assert report.interrupted
    (step,) = report.steps
    assert 40 <= step.tally.acknowledged <= 60
    assert step.exact
    assert target.checkpoints[0].epochs[0].head == step.tally.numbered - 1
