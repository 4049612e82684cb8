"""A partition that is not as it was left raises an alarm, and what is there is read."""

import asyncio
from typing import TYPE_CHECKING, Never

import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client import REGISTRY

from core_consumer import service
from ingress_runtime import collector
from ingress_runtime.kafka.errors import KafkaTrouble
from ingress_runtime.shutdown import Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.consumer.conftest import Core, Log

pytestmark = [pytest.mark.anyio, pytest.mark.capability("true_end_offsets")]


def resets(reason: str) -> float:
    return REGISTRY.get_sample_value("core_consumer_offset_resets_total", {"reason": reason}) or 0


async def test_records_that_expired_before_they_were_read(core: "Core", log: "Log") -> None:
    await log.write([log.frame(number) for number in range(30)], partition=0)
    async with core.member():
        await core.holds(30)
    await log.write([log.frame(number) for number in range(30, 60)], partition=0)
    await log.expire(0, before=50)
    expired = resets("expired")

    async with core.member():
        await core.until(log.everything_is_acknowledged)
    assert resets("expired") == expired + 1
    assert await core.facts() == 40


async def test_a_topic_that_vanished_and_came_back_empty(core: "Core", log: "Log") -> None:
    await log.write([log.frame(number) for number in range(30)])
    vanished = resets("vanished")
    async with core.member() as member:
        await core.until(log.everything_is_acknowledged)
        await log.delete()

        async def missed() -> bool:
            await member.watch.look()
            return resets("vanished") == vanished + 1

        await core.until(missed)
        assert "ingress topics create" in str(member.ready())

        await log.create()
        await log.write([log.frame(number) for number in range(30, 36)])
        await core.holds(36)
        await core.until(log.everything_is_acknowledged)
        await member.watch.look()
        assert member.ready() is True


def coordination_fails(consumer: AIOKafkaConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object) -> Never:
        raise AssertionError("a defect")

    monkeypatch.setattr(consumer._coordinator, "_maybe_do_autocommit", fail)
    consumer._coordinator.request_rejoin()


def fetching_ends(consumer: AIOKafkaConsumer, _monkeypatch: pytest.MonkeyPatch) -> None:
    consumer._fetcher.error_future.cancel()


@pytest.mark.parametrize("end", [coordination_fails, fetching_ends])
async def test_a_consumer_whose_client_breaks_ends_and_says_so(
    core: "Core",
    log: "Log",
    monkeypatch: pytest.MonkeyPatch,
    end: "Callable[[AIOKafkaConsumer, pytest.MonkeyPatch], None]",
) -> None:
    monkeypatch.setattr(collector, "spare_batches", lambda _: None)
    consumption = core.consumption()
    await log.write([log.frame(number) for number in range(30)])
    running = asyncio.create_task(
        service._consume(consumption, core.settings(watch_seconds=300), Shutdown())
    )
    await core.holds(30)

    end(consumption.consumer(), monkeypatch)
    await core.until(running.done)
    with pytest.raises(KafkaTrouble, match=r"has ended by itself.*Start the consumer again"):
        await running


async def test_lag_is_measured_by_partition(core: "Core", log: "Log") -> None:
    gate = core.gate()
    gate.open.clear()
    await log.write([log.frame(number) for number in range(30)], partition=1)
    async with core.member(gate) as member:
        await core.until(lambda: gate.attempts == 1)
        await member.watch.look()
        assert lag("records") == {"0": 0, "1": 30, "2": 0}
        assert lag("seconds")["1"] > 0
        gate.open.set()
        await core.until(log.everything_is_acknowledged)
        await member.watch.look()
        assert lag("records") == {"0": 0, "1": 0, "2": 0}
        assert lag("seconds") == {"0": 0, "1": 0, "2": 0}


def lag(unit: str) -> dict[str, float]:
    (metric,) = (each for each in REGISTRY.collect() if each.name == f"core_consumer_lag_{unit}")
    return {sample.labels["partition"]: sample.value for sample in metric.samples}
