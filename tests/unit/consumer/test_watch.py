from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import RequestTimedOutError
from prometheus_client import REGISTRY

from core_consumer.positions import Positions
from core_consumer.watch import Watch

if TYPE_CHECKING:
    from tests.unit.consumer.conftest import FakeConsumer

pytestmark = pytest.mark.anyio

TOPIC = "telematics.ingress"


@pytest.fixture
def watch(consumer: "FakeConsumer") -> Watch:
    positions = Positions()
    positions.assign({(TOPIC, 0): 10, (TOPIC, 1): None})
    return Watch(TOPIC, positions, lambda: consumer, clock=lambda: 100.0)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"core_consumer_{name}", labels) or 0


async def test_lag_is_that_of_our_own_partitions(watch: Watch, consumer: "FakeConsumer") -> None:
    consumer.ends = {0: 25, 1: 0, 2: 99}
    await watch.look()

    assert value("lag_records", partition="0") == 15
    assert value("lag_records", partition="1") == 0
    assert REGISTRY.get_sample_value("core_consumer_lag_records", {"partition": "2"}) is None


async def test_what_waits_grows_older_while_the_brokers_do_not_answer(
    consumer: "FakeConsumer", monkeypatch: pytest.MonkeyPatch
) -> None:
    positions, now = Positions(), [100.0]
    positions.assign({(TOPIC, 0): 10})
    watch = Watch(TOPIC, positions, lambda: consumer, clock=lambda: now[0])
    consumer.ends = {0: 25}
    await watch.look()

    async def silent(*_: object) -> None:
        raise RequestTimedOutError

    monkeypatch.setattr(consumer, "end_offsets", silent)
    now[0] = 143.0
    await watch.look()

    assert value("lag_records", partition="0") == 15
    assert value("lag_seconds", partition="0") == 43


async def test_an_end_that_moved_back_raises_an_alarm(
    watch: Watch, consumer: "FakeConsumer"
) -> None:
    before = value("offset_resets_total", reason="back")
    for end in (25, 3, 4):
        consumer.ends = {0: end}
        await watch.look()

    assert value("offset_resets_total", reason="back") == before + 1
    assert value("lag_records", partition="0") == 0


async def test_a_topic_that_vanished_raises_one_alarm_until_it_is_back(
    watch: Watch, consumer: "FakeConsumer"
) -> None:
    before = value("offset_resets_total", reason="vanished")
    consumer.partitions = set()
    await watch.look()
    await watch.look()

    assert value("offset_resets_total", reason="vanished") == before + 1
    assert f"INGRESS_KAFKA_TOPIC={TOPIC} ingress topics create" in str(watch.objection)
    consumer.partitions = {0}
    await watch.look()
    assert watch.objection is None
