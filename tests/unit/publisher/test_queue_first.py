"""Queue-first, case by case: see test_queue_first_machine for all of them in any order."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from telematics_publisher.breaker import Breaker, Caution, Circuit
from telematics_publisher.errors import (
    BatchRefused,
    DeadlineExceeded,
    NotAuthorised,
    Unavailable,
    Unreachable,
)
from telematics_publisher.transport import Refusal
from telematics_publisher.transports.queue_first import QueueFirst
from tests.unit.publisher.ways import CHECK, PARTITIONS, Steps, http_way, kafka_way, message

if TYPE_CHECKING:
    import asyncio

HTTP = Route(door="http")
KAFKA = Route(door="kafka", topic="t", partitions=PARTITIONS)
NOT_SEEN = Route(door="kafka", topic="t", partitions=1)


class Scene:
    """Both ways, the breaker between them, and time."""

    def __init__(self) -> None:
        self.steps = Steps()
        self.now = 0.0
        self.kafka, self.http = kafka_way(), http_way()
        caution = Caution(pause=5.0, longest=20.0, probes=2, spacing=1.0, calm=60.0)
        self.breaker = Breaker(caution, lambda: self.now)
        self.way = QueueFirst(self.kafka, self.http, self.breaker, topic="t", workspace="acme")

    def publish(self, batch: Sequence[Envelope]) -> "asyncio.Task[Any]":
        return self.steps.start(self.way.publish(batch))

    def routes(self) -> Sequence[Route]:
        return tuple(self.steps.start(self.way.routes()).result())

    def fail_kafka(self, error: Exception | None = None) -> None:
        self.kafka.attempts.pop(0).fail(error or DeadlineExceeded("no answer in time"))  # type: ignore[arg-type]
        self.steps.turn()

    def fail_http(self, error: Exception) -> None:
        self.http.attempts.pop(0).fail(error)  # type: ignore[arg-type]
        self.steps.turn()

    def answer(self, *ways: Any) -> None:
        for way in ways:
            way.attempts.pop(0).succeed()
        self.steps.turn()

    def fall_over(self) -> None:
        task = self.publish(message(1))
        self.fail_kafka()
        self.answer(self.http)
        assert task.result() == ()

    def probe(self, number: int) -> None:
        """Publish while a probe is due; both ways answer."""
        task = self.publish(message(number))
        assert len(self.kafka.attempts) == len(self.http.attempts) == 1
        self.answer(self.kafka, self.http)
        assert task.result() == ()


def shown() -> str:
    """Return the state that the metrics show."""
    name = "publisher_breaker_state"
    (state,) = [
        each for each in Circuit if REGISTRY.get_sample_value(name, {name: str(each)}) == 1.0
    ]
    return str(state)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.steps.close()


def test_kafka_alone_is_used_and_named_while_it_works(scene: Scene) -> None:
    task = scene.publish(message(1))
    scene.answer(scene.kafka)

    assert task.result() == ()
    assert not scene.http.attempts
    assert scene.routes() == (KAFKA,)


def test_batch_that_kafka_does_not_confirm_goes_over_http_at_once(scene: Scene) -> None:
    with capture_logs() as logs:
        task = scene.publish(message(1))
        scene.fail_kafka()

    assert [one.batch for one in scene.http.attempts] == [message(1)]
    assert not task.done()
    scene.answer(scene.http)
    assert task.result() == ()
    assert [line["event"] for line in logs] == ["fallen_over_to_http"]


@pytest.mark.parametrize("error", [Unreachable("x"), Unavailable("x"), NotAuthorised("no ACL")])
def test_any_trouble_of_kafka_opens_the_circuit_once(scene: Scene, error: Exception) -> None:
    tasks = [scene.publish(message(number)) for number in (1, 2, 3)]
    with capture_logs() as logs:
        for _ in tasks:
            scene.fail_kafka(error)
    scene.answer(*[scene.http] * 3)

    assert [task.result() for task in tasks] == [()] * 3
    assert len(logs) == 1
    assert scene.breaker.circuit is Circuit.OPEN


def test_metrics_show_the_circuit_and_that_it_is_probed_while_the_probe_is_under_way(
    scene: Scene,
) -> None:
    assert shown() == "closed"
    scene.fall_over()
    assert shown() == "open"
    scene.now += 5.0
    scene.publish(message(2))
    assert shown() == "half_open"
    scene.answer(scene.kafka, scene.http)
    scene.now += 1.0
    scene.probe(3)
    assert shown() == "closed"


def test_while_the_circuit_is_open_nothing_waits_for_kafka(scene: Scene) -> None:
    scene.fall_over()

    task = scene.publish(message(2))
    assert not scene.kafka.attempts
    scene.answer(scene.http)
    assert task.result() == ()


def test_probe_is_a_copy_that_nothing_waits_for(scene: Scene) -> None:
    scene.fall_over()
    scene.now += 5.0

    task = scene.publish(message(2))
    assert [one.batch for one in scene.kafka.attempts] == [message(2)]
    scene.answer(scene.http)
    assert task.result() == ()
    again = scene.publish(message(3))
    assert len(scene.kafka.attempts) == 1  # one at a time
    scene.answer(scene.http)
    assert again.result() == ()


def test_kafka_is_used_again_after_some_probes_in_a_row(scene: Scene) -> None:
    scene.fall_over()
    scene.now += 5.0
    scene.probe(2)
    assert scene.breaker.circuit is Circuit.HALF_OPEN
    scene.now += 1.0
    scene.probe(3)

    assert scene.breaker.closed
    task = scene.publish(message(4))
    scene.answer(scene.kafka)
    assert task.result() == ()


def test_checkpoint_names_kafka_while_its_records_may_be_unread(scene: Scene) -> None:
    scene.routes()
    scene.fall_over()

    assert scene.routes() == (KAFKA, HTTP)


def test_partitions_that_were_never_seen_are_stood_for_by_one(scene: Scene) -> None:
    scene.kafka.away = True

    assert scene.routes() == (NOT_SEEN, HTTP)
    assert scene.breaker.circuit is Circuit.OPEN


def test_http_is_named_until_it_has_taken_a_checkpoint_after_the_return(scene: Scene) -> None:
    scene.fall_over()
    scene.now += 5.0
    scene.probe(2)
    scene.now += 1.0
    scene.probe(3)
    assert scene.routes() == (KAFKA, HTTP)

    task = scene.publish(CHECK)
    scene.answer(scene.kafka)
    assert task.result() == ()  # HTTP is not waited for
    assert scene.routes() == (KAFKA, HTTP)
    scene.answer(scene.http)
    assert scene.routes() == (KAFKA,)


def test_where_http_fails_too_every_attempt_tries_kafka(scene: Scene) -> None:
    scene.fall_over()

    for _ in range(3):
        task = scene.publish(message(2))
        scene.fail_http(Unreachable("core is away"))
        scene.fail_kafka()
        with pytest.raises(Unreachable, match="core is away"):
            task.result()
    task = scene.publish(message(2))
    scene.fail_http(Unreachable("core is away"))
    scene.answer(scene.kafka)
    assert task.result() == ()


def test_key_that_core_refuses_ends_nothing_since_kafka_may_come_back(scene: Scene) -> None:
    scene.fall_over()

    task = scene.publish(message(2))
    scene.fail_http(NotAuthorised("the key is not valid"))
    scene.fail_kafka()
    with pytest.raises(Unavailable, match="the key is not valid"):
        task.result()


def test_batch_that_kafka_refuses_for_itself_is_tried_over_http_alone(scene: Scene) -> None:
    task = scene.publish(message(1))
    scene.fail_kafka(BatchRefused("too large for the topic", "too_large"))

    assert scene.breaker.closed
    scene.fail_http(BatchRefused("too large for core", "too_large"))
    with pytest.raises(BatchRefused, match="core"):
        task.result()


def test_what_core_refuses_of_a_batch_is_told(scene: Scene) -> None:
    scene.fall_over()
    task = scene.publish(message(2))
    refusal = Refusal(0, "invalid_data")

    scene.http.attempts.pop(0).answer.set_result([refusal])
    scene.steps.turn()

    assert task.result() == [refusal]


@pytest.mark.parametrize("end", [Scene.fail_kafka, lambda scene: scene.answer(scene.kafka)])
def test_end_of_a_probe_after_the_process_was_told_to_end_changes_nothing(
    scene: Scene, end: Callable[[Scene], None]
) -> None:
    scene.fall_over()
    scene.now += 5.0
    scene.publish(message(2))
    scene.answer(scene.http)

    closing = scene.steps.start(scene.way.aclose())

    assert closing.done()
    end(scene)
    assert not scene.breaker.closed
