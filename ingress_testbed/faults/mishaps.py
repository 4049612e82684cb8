"""What can befall a queue, its readers and their database, while a recording is replayed.

Each mishap goes on until the system has felt it, and ends with the system at work again. The replay
must be slow enough to outlast it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import httpx

from ingress_testbed.demo.report import OUTCOMES
from ingress_testbed.faults.design import CONSUMER
from ingress_testbed.faults.outages import Database
from ingress_testbed.faults.plant import Plant
from ingress_testbed.servers.broker import Broker

Mishap: TypeAlias = Callable[[Plant], Awaitable[None]]

MEMBERS = (CONSUMER, f"{CONSUMER}-b", f"{CONSUMER}-c")
"""As many as the topic has partitions."""

_STEP = 300
_SECONDS = 90.0
_LOOK_EVERY_SECONDS = 0.1
_DELAY_SECONDS = 0.1  # each way: a batch now takes seconds, and one is always in work
_PENDING = "publisher_journal_pending_records"
_ABANDONED = "kafka_producers_abandoned_total"
_STORED = "core_consumer_records_total"
_FAILED = "core_consumer_batch_failures_total"


class NothingMoves(Exception):
    """The system did not do in time what it should."""


async def progress(plant: Plant) -> None:
    """Return once core has settled some hundred more messages. Raises NothingMoves."""
    before = await _settled(plant)
    await until(plant, "core settles no more", lambda: more(lambda: _settled(plant), before, _STEP))


async def members_come_and_go(plant: Plant) -> None:
    """Let the group grow from one to three, lose members by SIGKILL and by SIGTERM, and grow again."""
    first, second, third = MEMBERS
    await progress(plant)
    for name in (second, third):
        await plant.start(name)
    for name in MEMBERS:
        await _at_work(plant, name)
    await plant.kill(first)
    await progress(plant)
    await plant.start(first)
    await _at_work(plant, first)
    await plant.kill(second)
    await plant.kill(third)
    await progress(plant)
    await plant.start(second)
    await plant.stop(first)
    await _at_work(plant, second)
    await progress(plant)


def each_killed(brokers: list[Broker]) -> Mishap:
    """Return the mishap that brokers are killed and started again, one after the other."""

    async def mishap(plant: Plant) -> None:
        for broker in brokers:
            await progress(plant)
            await asyncio.to_thread(broker.kill)
            await progress(plant)
            await asyncio.to_thread(broker.start)
        await progress(plant)

    return mishap


def only_one_fails(broker: Broker) -> Mishap:
    """Return the mishap that the only broker is stopped, hangs, and is killed, and comes back."""

    async def mishap(plant: Plant) -> None:
        for harm, mend in (
            (broker.stop, broker.start),
            (broker.hang, broker.resume),
            (broker.kill, broker.start),
        ):
            await progress(plant)
            await asyncio.to_thread(harm)
            await _felt_by_the_publisher(plant)
            await asyncio.to_thread(mend)
        await progress(plant)

    return mishap


def restarted_in_mid_batch(database: Database) -> Mishap:
    """Return the mishap that Postgres is stopped while a transaction is open, and started again."""

    async def mishap(plant: Plant) -> None:
        await progress(plant)
        database.road.delay = _DELAY_SECONDS
        await progress(plant)
        await _failing(plant, lambda: asyncio.to_thread(database.server.stop))
        database.road.delay = 0.0
        await asyncio.to_thread(database.server.start)
        await progress(plant)

    return mishap


def away_for(seconds: float, database: Database) -> Mishap:
    """Return the mishap that Postgres says nothing for so long, and then refuses for so long."""

    async def mishap(plant: Plant) -> None:
        await progress(plant)
        database.road.delay = 10 * seconds
        await asyncio.sleep(seconds)  # the outage's length, not a synchronisation
        database.road.delay, database.road.cut = 0.0, True
        await _failing(plant, database.road.hang_up)
        await asyncio.sleep(seconds)  # likewise
        database.road.cut = False
        await progress(plant)

    return mishap


async def until(plant: Plant, otherwise: str, reached: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something. Raises NothingMoves, which says what is the case `otherwise`."""
    try:
        async with asyncio.timeout(_SECONDS):
            while not await reached():  # noqa: ASYNC110 — other processes set no Event
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
    except TimeoutError:
        tails = [f"{name}: {process.tail(3)}" for name, process in plant.running.items()]
        raise NothingMoves("\n".join((otherwise, *tails))) from None


async def _settled(plant: Plant) -> float:
    try:
        accounting = await plant.accounting()
    except httpx.HTTPError:  # core's API has no database either
        return 0
    return sum(accounting[name] for name in OUTCOMES)


async def metric(plant: Plant, name: str, metric_name: str) -> float:
    """Return a metric of a process, summed over its labels; 0 where there is none yet."""
    return (await plant.metrics(name)).get(metric_name, 0.0)


async def more(count: Callable[[], Awaitable[float]], before: float, by: float) -> bool:
    """Return whether `count` is higher than `before` by that much."""
    return await count() >= before + by


async def _at_work(plant: Plant, name: str) -> None:
    """Return once a member has stored something in its present life."""
    await until(
        plant,
        f"{name} stores nothing",
        lambda: more(lambda: metric(plant, name, _STORED), 0, 1),
    )


async def _failing(plant: Plant, harm: Callable[[], Awaitable[None]]) -> None:
    """Do harm, and return once the first consumer could not store a batch."""
    before = await metric(plant, CONSUMER, _FAILED)
    await harm()
    await until(
        plant,
        "no batch fails",
        lambda: more(lambda: metric(plant, CONSUMER, _FAILED), before, 1),
    )


async def _felt_by_the_publisher(plant: Plant) -> None:
    """Return once the publisher has given up an attempt, and its journal has grown."""
    before = await plant.metrics()
    for metric, by in ((_ABANDONED, 1), (_PENDING, _STEP)):
        reached = before.get(metric, 0.0) + by

        async def enough(metric: str = metric, reached: float = reached) -> bool:
            return (await plant.metrics()).get(metric, 0.0) >= reached

        await until(plant, f"{metric} does not rise", enough)
