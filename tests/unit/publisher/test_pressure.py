"""What a queue that lets nothing in or out shows in a scrape, and what a sender shows of its window."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from telematics_publisher.delivery import Delivery
from telematics_publisher.errors import BatchRefused, NotAuthorised, TransportError, Unreachable
from telematics_publisher.intake import Intake
from telematics_publisher.records import Envelopes, Record
from telematics_publisher.sender import Pace, Sender
from tests.unit.publisher.ways import LANE, MemoryJournal, Steps, http_way

RECEIVED = 1_700_000_000_000_000
"""When the records of a MemoryJournal were received (µs)."""


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def pressure(queue: str, reason: str) -> float:
    return sample("publisher_backpressure_seconds_total", queue=queue, reason=reason)


class Scene:
    """A sender over a transport whose attempts a test ends; time moves when the test says so."""

    def __init__(self) -> None:
        self.steps = Steps()
        asyncio.set_event_loop(self.steps.loop)
        self.now = 0.0
        self.way = http_way()
        self.journal = MemoryJournal()
        delivery = Delivery(
            cast("Any", self.journal),
            self.way,
            random=lambda: 0.0,
            sleep=self.sleep,
            clock=self.clock,
            wall=self.wall,
        )
        self.sender = Sender(
            delivery,
            Envelopes("acme", "edge-1"),
            pace=Pace(records=2, window=2, checkpoint_seconds=1_000.0),
            clock=self.clock,
            wall=self.wall,
        )

    def clock(self) -> float:
        return self.now

    def wall(self) -> int:
        return RECEIVED + round(self.now * 1e6)

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    def start(self, records: int) -> None:
        self.journal.add(records)
        self.steps.start(self.sender.run())

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def answer(self) -> None:
        self.way.attempts.pop(0).succeed()
        self.steps.turn()

    def fail(self, error: TransportError) -> None:
        self.way.attempts.pop(0).fail(error)
        self.steps.turn()


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.steps.close()


def test_full_window_is_seen_while_it_is_full(scene: Scene) -> None:
    before = pressure("window", "full")
    scene.start(records=6)
    scene.pass_time(7.0)
    assert pressure("window", "full") - before == 7.0
    scene.answer()
    scene.answer()
    scene.pass_time(60.0)  # one batch is in flight, and there is none that waits for it
    assert pressure("window", "full") - before == 7.0


def test_window_that_has_room_is_no_pressure(scene: Scene) -> None:
    before = pressure("window", "full")
    scene.start(records=2)
    scene.pass_time(7.0)
    assert pressure("window", "full") - before == 0.0


def test_full_window_waits_for_the_cause_of_failures_until_an_answer_comes(scene: Scene) -> None:
    full, away = pressure("window", "full"), pressure("window", "unreachable")
    scene.start(records=6)
    scene.pass_time(1.0)
    scene.fail(Unreachable("gone"))
    scene.pass_time(30.0)
    assert pressure("window", "full") - full == 1.0
    assert pressure("window", "unreachable") - away == 30.0
    scene.answer()
    scene.pass_time(2.0)
    assert pressure("window", "full") - full == 3.0
    assert pressure("window", "unreachable") - away == 30.0


def test_refused_batch_is_an_answer_and_no_trouble(scene: Scene) -> None:
    full = pressure("window", "full")
    scene.start(records=6)
    scene.fail(Unreachable("gone"))
    scene.fail(BatchRefused("too big", "too_big"))
    scene.pass_time(4.0)
    assert pressure("window", "full") - full == 4.0


def test_checkpoint_that_waits_for_answers_holds_the_window(scene: Scene) -> None:
    before = pressure("window", "checkpoint")
    scene.start(records=2)
    scene.sender.drain(100.0)
    scene.steps.turn()
    scene.pass_time(3.0)
    assert pressure("window", "checkpoint") - before == 3.0


def test_sender_that_stopped_is_pressure_for_as_long_as_it_stands(scene: Scene) -> None:
    before = pressure("window", "not_authorised")
    scene.start(records=2)
    scene.fail(NotAuthorised("the key was revoked"))
    scene.pass_time(3_600.0)
    assert pressure("window", "not_authorised") - before == 3_600.0
    assert sample("publisher_batches_in_flight_limit") == 0.0


def test_batches_in_flight_are_shown_with_their_limit(scene: Scene) -> None:
    scene.start(records=6)
    assert sample("publisher_batches_in_flight") == 2.0
    assert sample("publisher_batches_in_flight_limit") == 2.0
    scene.answer()
    scene.answer()
    assert sample("publisher_batches_in_flight") == 1.0


def test_wait_of_each_record_until_its_first_attempt_is_measured_once(scene: Scene) -> None:
    counted = sample("publisher_wait_seconds_count", transport="http")
    waited = sample("publisher_wait_seconds_sum", transport="http")
    late = sample("publisher_wait_seconds_bucket", transport="http", le="5.0")
    scene.pass_time(4.0)
    scene.start(records=3)
    scene.fail(Unreachable("gone"))
    scene.pass_time(10.0)
    scene.fail(Unreachable("gone"))
    assert sample("publisher_wait_seconds_count", transport="http") - counted == 3
    assert sample("publisher_wait_seconds_sum", transport="http") - waited == 12.0
    assert sample("publisher_wait_seconds_bucket", transport="http", le="5.0") - late == 3


def test_every_attempt_s_result_is_there_before_the_first_attempt(scene: Scene) -> None:
    assert not scene.way.attempts
    for result in ("ok", "unreachable", "deadline", "unavailable", "clock_ahead", "not_authorised"):
        labels = {"transport": "http", "result": result}
        assert REGISTRY.get_sample_value("publisher_send_attempts_total", labels) is not None


def test_full_intake_is_pressure_once_a_reader_waits_for_room() -> None:
    steps, now = Steps(), 0.0
    intake = Intake(max_records=2, max_bytes=1_000, clock=lambda: now)
    before = pressure("intake", "journal")
    for _ in range(2):
        intake.put(Record(LANE, RECEIVED, "bus", b"x"))
    readers = [steps.start(intake.room()) for _ in range(2)]
    now = 5.0
    assert pressure("intake", "journal") - before == 5.0
    steps.start(intake.take())
    now = 50.0
    assert all(reader.done() for reader in readers)
    assert pressure("intake", "journal") - before == 5.0
    steps.close()
