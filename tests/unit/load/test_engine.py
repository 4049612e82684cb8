import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest

from ingress_testbed.load.engine import Pace, Step, Tally
from ingress_testbed.load.schedule import Due, Plan, schedule, total
from ingress_testbed.load.target import AttemptFailed, Hopeless
from tests.unit.load.fakes import FakeTarget, envelope, run

PACE = Pace(batch=10, senders=1, queue=1_000, patience=100.0)


def each(seconds: float, count: int) -> list[Due]:
    """Return reports that are due every so many seconds, the first one at once."""
    return [Due(number * seconds, 0, number) for number in range(count)]


def sent(
    target: FakeTarget,
    dues: Iterable[Due],
    pace: Pace = PACE,
    stop_at: float | None = None,
) -> Tally:
    async def load() -> Tally:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        if stop_at is not None:
            loop.call_later(stop_at, stop.set)
        return await Step(dues, target, envelope, pace, loop.time).run(stop)

    return run(load())


def takes(*seconds: float) -> Callable[[], Awaitable[None]]:
    """Return work that takes so many seconds at each call; the last one stays."""
    left = list(seconds)

    async def work() -> None:
        await asyncio.sleep(left.pop(0) if len(left) > 1 else left[0])

    return work


def test_latency_counts_from_when_a_message_was_due_also_while_nothing_could_be_sent() -> None:
    target = FakeTarget(takes(10.0, 0.0))  # it stands still for ten seconds, then is quick

    tally = sent(target, each(1.0, 20))

    assert tally.acknowledged == 20
    assert target.taken[0] == [0]
    # Those of second 1 to 9 waited for what was left of the standstill; a tool that waits for each
    # answer before it sends the next message would have seen one slow answer and nothing else.
    assert tally.corrected.percentile(55) == pytest.approx(1.0, rel=0.01)
    assert tally.corrected.percentile(90) == pytest.approx(8.0, rel=0.01)
    assert tally.corrected.percentile(50) < 0.01
    assert tally.corrected.max == pytest.approx(10.0, abs=0.01)
    assert tally.uncorrected.percentile(90) < 0.01
    assert tally.uncorrected.max == pytest.approx(10.0, abs=0.01)


def test_slow_answer_moves_no_message() -> None:
    quick = sent(FakeTarget(takes(0.0)), each(0.5, 50))
    slow = sent(FakeTarget(takes(3.0)), each(0.5, 50))

    assert quick.due == slow.due == 50
    assert quick.scheduled_seconds == slow.scheduled_seconds == pytest.approx(24.5, abs=0.01)


def test_as_many_batches_are_in_flight_as_there_are_senders() -> None:
    pace = Pace(batch=1, senders=3, queue=1_000, patience=100.0)

    tally = sent(FakeTarget(takes(3.0)), each(1.0, 30), pace)

    assert tally.corrected.max == pytest.approx(3.0, abs=0.05)


def test_what_finds_the_queue_full_is_not_sent_and_counted() -> None:
    pace = Pace(batch=1, senders=1, queue=5, patience=100.0)
    target = FakeTarget(takes(10.0))

    tally = sent(target, each(1.0, 30), pace)

    assert tally.due == 30
    assert tally.not_sent > 0
    assert tally.not_sent + tally.acknowledged == 30
    assert tally.numbered == tally.acknowledged
    assert [number for numbers in target.taken for number in numbers] == list(range(tally.numbered))


def test_batch_that_fails_is_sent_again_with_the_same_numbers_and_its_latency_goes_on() -> None:
    trouble = [AttemptFailed("http_503", "busy", 4.0), AttemptFailed("deadline", "no answer", 2.0)]

    async def work() -> None:
        if trouble:
            raise trouble.pop(0)

    target = FakeTarget(work)
    tally = sent(target, each(1.0, 1))

    assert target.taken == [[0]]
    assert target.attempts == 3
    assert tally.errors == {"http_503": 1, "deadline": 1}
    assert tally.examples["http_503"] == "busy"
    assert tally.corrected.max == pytest.approx(6.0, abs=0.01)
    assert tally.uncorrected.max < 0.01
    assert not tally.given_up


def test_what_is_not_acknowledged_in_time_is_given_up_by_its_number() -> None:
    pace = Pace(batch=2, senders=1, queue=1_000, patience=5.0)
    target = FakeTarget(takes(0.0, 1_000.0))

    tally = sent(target, each(1.0, 4), pace)

    assert target.taken == [[0]]
    assert tally.given_up == [1]
    assert (tally.numbered, tally.acknowledged, tally.not_sent) == (2, 1, 2)


def test_what_is_refused_for_itself_is_given_up_and_named() -> None:
    tally = sent(FakeTarget(takes(0.0), refused=[3, 5]), each(0.1, 8))

    assert tally.given_up == [3, 5]
    assert tally.acknowledged == tally.corrected.count == 6
    assert tally.errors == {"refused": 2}
    assert tally.examples == {"refused": "malformed"}
    assert tally.outcomes == {"accepted": 6, "refused": 2}


def test_what_can_never_succeed_ends_the_step_at_once() -> None:
    async def work() -> None:
        raise Hopeless("the key was revoked")

    target = FakeTarget(work)
    with pytest.raises(Hopeless, match="revoked"):
        sent(target, each(1.0, 1_000))

    assert target.attempts == 1


def test_stop_ends_the_schedule_and_waits_for_what_is_on_its_way() -> None:
    target = FakeTarget(takes(0.0, 20.0))

    tally = sent(target, each(1.0, 1_000), stop_at=10.5)

    assert tally.cut_short
    assert tally.due == 11
    assert tally.scheduled_seconds == pytest.approx(10.5, abs=0.01)
    assert tally.acknowledged == 2
    assert tally.not_sent == 9
    assert not tally.given_up


@pytest.mark.parametrize("senders", [1, 4])
def test_every_message_of_a_fleet_is_in_one_term(senders: int) -> None:
    plan = Plan(vehicles=50, interval=0.5, duration=20.0)
    pace = Pace(batch=7, senders=senders, queue=60, patience=3.0)

    tally = sent(FakeTarget(takes(0.1, 6.0, 0.3)), schedule(plan), pace)

    assert tally.due == total(plan)
    assert tally.due == tally.not_sent + tally.numbered
    assert tally.numbered == tally.acknowledged + len(tally.given_up)
    assert tally.acknowledged == tally.corrected.count == tally.uncorrected.count
