import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from ingress_contracts.control import Route
from telematics_publisher.errors import DeadlineExceeded, Unreachable
from telematics_publisher.transports.shadow import COPIES, MOST_COPIES, Shadow
from tests.unit.publisher.ways import CHECK, PARTITIONS, Steps, http_way, kafka_way, message


class Scene:
    """The truth, its copy, and what was counted."""

    def __init__(self) -> None:
        self.steps = Steps()
        self.http, self.kafka = http_way(), kafka_way()
        self.way = Shadow(self.http, self.kafka, patience=0.0, workspace="acme")

    def publish(self, number: int) -> "asyncio.Task[object]":
        return self.steps.start(self.way.publish(message(number)))

    def settle(self, number: int) -> None:
        """Publish, and let core answer."""
        task = self.publish(number)
        self.http.attempts.pop(0).succeed()
        self.steps.turn()
        assert task.result() == ()

    def copy_ends(self, error: Exception | None = None) -> None:
        attempt = self.kafka.attempts.pop(0)
        if error is None:
            attempt.succeed()
        else:
            attempt.fail(error)  # type: ignore[arg-type]
        self.steps.turn()

    @property
    def copied(self) -> list[int | None]:
        return [attempt.batch[0].sequence for attempt in self.kafka.attempts]


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.steps.close()


def counted(result: str) -> float:
    value: float = COPIES.labels(result)._value.get()
    return value


def test_nothing_waits_for_the_copy(scene: Scene) -> None:
    scene.settle(1)

    assert scene.copied == [1]


def test_copy_goes_once_however_often_the_truth_is_tried(scene: Scene) -> None:
    for _ in range(3):
        task = scene.publish(1)
        scene.http.attempts.pop(0).fail(Unreachable("core is away"))
        scene.steps.turn()
        with pytest.raises(Unreachable):
            task.result()
    scene.settle(1)

    assert scene.copied == [1]


def test_copy_that_fails_costs_the_truth_nothing_and_is_said_once(scene: Scene) -> None:
    before = counted("failed")
    with capture_logs() as logs:
        for number in (1, 2):
            scene.settle(number)
            scene.copy_ends(DeadlineExceeded("no answer in time"))
        scene.settle(3)
        scene.copy_ends()

    assert [line["event"] for line in logs] == ["copies_missing", "copies_complete_again"]
    assert counted("failed") - before == 2


def test_copies_under_way_are_bounded(scene: Scene) -> None:
    before = counted("skipped")
    for number in range(MOST_COPIES + 5):
        scene.settle(number)

    assert len(scene.kafka.attempts) == MOST_COPIES
    assert counted("skipped") - before == 5


def test_copy_of_a_checkpoint_goes_behind_all_copies_before_it(scene: Scene) -> None:
    for number in (1, 2):
        scene.settle(number)
    check = scene.steps.start(scene.way.publish(CHECK))
    scene.http.attempts.pop(0).succeed()
    scene.steps.turn()
    assert check.result() == ()

    assert scene.copied == [1, 2]
    scene.copy_ends()
    assert scene.copied == [2]
    scene.copy_ends(DeadlineExceeded("no answer in time"))
    assert scene.copied == [None]


def test_checkpoint_counts_by_the_truth_alone_and_names_where_its_copy_goes(scene: Scene) -> None:
    scene.kafka.away = True
    assert tuple(scene.steps.start(scene.way.routes()).result()) == (Route(door="http"),)
    assert not scene.way.copies

    scene.kafka.away = False
    scene.steps.start(scene.way.routes())
    assert tuple(scene.way.copies) == (Route(door="kafka", topic="t", partitions=PARTITIONS),)


def test_end_waits_for_copies_no_longer_than_it_has_patience(scene: Scene) -> None:
    scene.settle(1)

    closing = scene.steps.start(scene.way.aclose())
    scene.steps.loop.run_until_complete(asyncio.wait_for(closing, 30))

    assert scene.kafka.attempts[0].answer.cancelled()
