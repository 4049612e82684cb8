import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, TopicAuthorizationFailedError
from prometheus_client import REGISTRY

from core_consumer.breaker import Breaker
from core_consumer.pipeline import Hold, Pace, Pipeline
from core_ingest.errors import StoreUnavailable
from core_ingest.handler import Delivery, Result
from core_ingest.outcome import PLAIN, Outcome, OutcomeKind
from ingress_runtime.backoff import Backoff

if TYPE_CHECKING:
    from tests.unit.consumer.conftest import FakeConsumer

pytestmark = pytest.mark.anyio

TOPIC = "telematics.ingress"
Make = Callable[[int, int, int], list[Any]]


class Handler:
    """Stores what it is given, or raises, once it is let."""

    def __init__(self) -> None:
        self.given: list[list[tuple[str | None, list[int]]]] = []
        self.trouble: Exception | None = None
        self.outcome = PLAIN[OutcomeKind.ACCEPTED]
        self.open = asyncio.Event()
        self.open.set()
        self.pause = 0.5
        """Share of the longest pause after a failure: with 0 it is over at once."""

    async def handle_together(self, deliveries: Sequence[Delivery]) -> list[Result]:
        self.given.append([(each.route, list(each.offsets)) for each in deliveries])
        await self.open.wait()
        if self.trouble is not None:
            raise self.trouble
        return [[self.outcome] * len(each.envelopes) for each in deliveries]


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
async def pipeline(
    handler: Handler, consumer: "FakeConsumer", clock: Clock
) -> AsyncIterator[Pipeline]:
    made = Pipeline(
        handler,
        lambda: consumer,
        breaker=Breaker(100, 0.9),
        pace=Pace(patience=0.02, farewell=0.02, backoff=Backoff(0.001, 0.001), clock=clock),
        dice=lambda: handler.pause,
    )
    made.assign({(TOPIC, number): 0 for number in range(3)})
    yield made
    handler.open.set()
    await made.close(1)


async def settled(pipeline: Pipeline) -> None:
    if pipeline._work is not None:
        await asyncio.wait({pipeline._work})


def place(number: int) -> TopicPartition:
    return TopicPartition(TOPIC, number)


async def test_a_poll_is_one_call_with_one_delivery_a_partition(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    await pipeline.take([*records(0, 0, 2), *records(2, 0, 3)])
    await settled(pipeline)

    assert handler.given == [
        [(f"kafka/{TOPIC}/0", [0, 1]), (f"kafka/{TOPIC}/2", [0, 1, 2])],
    ]
    assert consumer.committed == [{place(0): 2, place(2): 3}]


async def test_the_next_batch_waits_for_the_one_in_work(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    handler.open.clear()
    await pipeline.take(records(0, 0, 2))
    waiting = asyncio.create_task(pipeline.take(records(0, 2, 2)))
    await asyncio.sleep(0)
    assert len(handler.given) == 1

    handler.open.set()
    await waiting
    await settled(pipeline)
    assert consumer.committed == [{place(0): 2}, {place(0): 4}]


async def test_a_batch_that_takes_long_holds_the_partitions_until_it_is_done(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    handler.open.clear()
    await pipeline.take(records(0, 0, 2))
    await pipeline.take(records(0, 2, 2))

    assert pipeline.held is Hold.SLOW
    assert consumer.paused == consumer.assignment()
    assert consumer.sought == [(0, 2)]
    handler.open.set()
    await settled(pipeline)
    assert pipeline.held is None
    assert consumer.paused == set()
    assert consumer.committed == [{place(0): 2}]


def held_seconds(reason: str) -> float:
    labels = {"reason": reason}
    return REGISTRY.get_sample_value("core_consumer_held_seconds_total", labels) or 0.0


async def test_a_hold_counts_by_its_reason_while_it_goes_on(
    pipeline: Pipeline, handler: Handler, clock: Clock, records: Make
) -> None:
    slow, retry = held_seconds("slow"), held_seconds("retry")
    handler.open.clear()
    await pipeline.take(records(0, 0, 2))
    await pipeline.take(records(0, 2, 2))
    assert pipeline.held is Hold.SLOW
    clock.now += 3
    assert held_seconds("slow") == slow + 3

    handler.open.set()
    await settled(pipeline)
    clock.now += 5
    assert held_seconds("slow") == slow + 3
    assert held_seconds("retry") == retry


async def test_a_greater_reason_for_a_hold_counts_from_its_beginning(
    pipeline: Pipeline, handler: Handler, clock: Clock, records: Make
) -> None:
    slow, breaker = held_seconds("slow"), held_seconds("breaker")
    handler.open.clear()
    handler.outcome = Outcome(OutcomeKind.DEAD_LETTERED, "not_json")
    await pipeline.take(records(0, 0, 100))
    await pipeline.take(records(0, 100, 2))
    clock.now += 3
    handler.open.set()
    await settled(pipeline)
    assert pipeline.held is Hold.BREAKER

    clock.now += 4
    assert held_seconds("slow") == slow + 3
    assert held_seconds("breaker") == breaker + 4


async def test_a_failed_batch_is_sought_back_in_every_partition_and_nothing_is_committed(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    handler.open.clear()
    handler.trouble = StoreUnavailable("away")
    await pipeline.take([*records(0, 0, 2), *records(1, 0, 2)])
    behind = asyncio.create_task(pipeline.take([*records(1, 2, 2), *records(2, 0, 2)]))
    await asyncio.sleep(0)
    handler.open.set()
    await behind

    assert sorted(consumer.sought) == [(0, 0), (1, 0), (2, 0)]
    assert consumer.committed == []
    assert pipeline.objection == "away"


async def test_a_batch_that_is_read_while_the_one_before_fails_does_not_pass_it(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    handler.open.clear()
    handler.trouble = StoreUnavailable("away")
    handler.pause = 0.0
    await pipeline.take([*records(0, 0, 2), *records(1, 0, 2)])
    reading = asyncio.create_task(pipeline.take([*records(1, 2, 2_000), *records(2, 0, 2_000)]))
    await asyncio.sleep(0)
    handler.open.set()
    await settled(pipeline)
    await asyncio.sleep(0)
    assert pipeline.held is None  # the pause is over, and the batch behind is still being read
    assert not reading.done()
    handler.trouble = None
    await reading
    await settled(pipeline)

    assert consumer.committed == []
    assert sorted(consumer.sought) == [(0, 0), (1, 0), (2, 0)]
    assert consumer.paused == set()


async def test_a_failure_while_a_gap_is_asked_about_is_what_comes_next(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    handler.open.clear()
    handler.trouble = StoreUnavailable("away")
    handler.pause = 0.0
    await pipeline.take(records(0, 0, 2))
    consumer.answers.clear()
    asking = asyncio.create_task(pipeline.take([*records(0, 7, 2), *records(1, 0, 2)]))
    await asyncio.sleep(0)
    handler.open.set()
    await settled(pipeline)
    await asyncio.sleep(0)
    consumer.answers.set()
    await asking

    assert pipeline.held is None
    assert len(handler.given) == 1
    assert consumer.positions() == {0: 0, 1: 0}


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError(TOPIC), RuntimeError("a defect")])
async def test_whatever_is_raised_the_batch_is_read_again(
    pipeline: Pipeline,
    handler: Handler,
    consumer: "FakeConsumer",
    records: Make,
    error: Exception,
) -> None:
    consumer.trouble = error
    await pipeline.take(records(0, 0, 2))
    await settled(pipeline)

    assert consumer.sought == [(0, 0)]
    assert pipeline.objection == str(error)
    consumer.trouble = None
    while pipeline.held is not None:  # noqa: ASYNC110 — the timer of the pause sets it
        await asyncio.sleep(0.001)
    await pipeline.take(records(0, 0, 2))
    await settled(pipeline)
    assert consumer.committed == [{place(0): 2}]
    assert pipeline.objection is None
    assert len(handler.given) == 2


async def test_offsets_that_the_group_no_longer_takes_are_left_to_the_next_member(
    pipeline: Pipeline, consumer: "FakeConsumer", records: Make
) -> None:
    consumer.trouble = CommitFailedError("rebalanced")
    await pipeline.take(records(0, 0, 2))
    await settled(pipeline)

    assert pipeline.held is None
    assert consumer.sought == []


async def test_a_batch_of_partitions_that_moved_is_dropped(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    handler.open.clear()
    await pipeline.take(records(0, 0, 2))
    behind = asyncio.create_task(pipeline.take(records(0, 2, 2)))
    await asyncio.sleep(0)
    moving = asyncio.create_task(pipeline.revoke())
    await asyncio.sleep(0)
    handler.open.set()
    await asyncio.gather(behind, moving)

    assert len(handler.given) == 1
    assert consumer.committed == [{place(0): 2}]
    assert consumer.sought == []


async def test_a_batch_that_outlasts_a_rebalance_is_given_up(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    handler.open.clear()
    await pipeline.take(records(0, 0, 2))
    await pipeline.revoke()

    assert pipeline._work is not None
    assert pipeline._work.cancelled()
    assert consumer.committed == []


async def test_partitions_that_come_while_all_are_held_are_held_too(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    handler.outcome = Outcome(OutcomeKind.DEAD_LETTERED, "not_json")
    await pipeline.take(records(0, 0, 100))
    await settled(pipeline)
    assert pipeline.held is Hold.BREAKER
    assert consumer.committed == []

    await pipeline.revoke()
    consumer.paused.clear()
    pipeline.assign({(TOPIC, 1): 0})
    assert consumer.paused == consumer.assignment()
    await pipeline.take(records(1, 0, 2))
    assert len(handler.given) == 1


async def test_nothing_is_taken_before_it_is_known_where_the_group_stands(
    pipeline: Pipeline, handler: Handler, consumer: "FakeConsumer", records: Make
) -> None:
    await pipeline.revoke()
    await pipeline.take(records(0, 5, 2))
    assert handler.given == []
    assert consumer.sought == [(0, 5)]
    assert consumer.paused == consumer.assignment()

    pipeline.assign({(TOPIC, 0): 5})
    assert consumer.paused == set()
    await pipeline.take(records(0, 5, 2))
    await settled(pipeline)
    assert consumer.committed == [{place(0): 7}]
    assert consumer.sought == [(0, 5)]


async def test_a_gap_is_asked_for_again_and_then_passed(
    pipeline: Pipeline, consumer: "FakeConsumer", records: Make
) -> None:
    await pipeline.take([*records(0, 5, 2), *records(1, 0, 2)])
    await settled(pipeline)
    assert consumer.sought == [(0, 0)]
    assert consumer.committed == [{place(1): 2}]

    await pipeline.take(records(0, 5, 2))
    await settled(pipeline)
    assert consumer.committed[1:] == [{place(0): 7}]


async def test_records_that_expired_unread_raise_an_alarm(
    pipeline: Pipeline, consumer: "FakeConsumer", records: Make
) -> None:
    before = resets("expired")
    consumer.beginnings = {0: 5}
    await pipeline.take(records(0, 5, 2))
    await settled(pipeline)

    assert resets("expired") == before + 1
    assert consumer.committed == [{place(0): 7}]


async def test_what_did_not_expire_is_asked_for_again(
    pipeline: Pipeline, consumer: "FakeConsumer", records: Make
) -> None:
    before = resets("expired")
    consumer.beginnings = {0: 5}
    await pipeline.take(records(0, 7, 2))
    assert consumer.sought == [(0, 5)]

    await pipeline.take(records(0, 5, 4))
    await settled(pipeline)
    assert resets("expired") == before + 1
    assert consumer.committed == [{place(0): 9}]


async def test_a_partition_that_was_made_anew_raises_an_alarm_and_is_read(
    pipeline: Pipeline, consumer: "FakeConsumer", records: Make
) -> None:
    pipeline.assign({(TOPIC, 0): 100})
    before = resets("back")
    await pipeline.take(records(0, 0, 2))
    await settled(pipeline)

    assert resets("back") == before + 1
    assert consumer.committed == [{place(0): 2}]


def resets(reason: str) -> float:
    return REGISTRY.get_sample_value("core_consumer_offset_resets_total", {"reason": reason}) or 0
