"""From Kafka to the database: consumer processes, beside a bare loop and a first attempt."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

import asyncpg
import click
from aiokafka import AIOKafkaConsumer

from core_consumer.settings import ConsumerSettings
from core_consumer.subscriber import FETCH_BYTES, POLL_MS
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.kafka.topics import PARTITIONS
from ingress_testbed.bench import first_attempt
from ingress_testbed.bench.contenders import BARE_COPY, bare_copy
from ingress_testbed.bench.kafka_topics import Brokers, observed
from ingress_testbed.bench.measure import Contender, Stopwatch, interleaved, storing, timed
from ingress_testbed.bench.observation import Observation
from ingress_testbed.bench.tables import ratios_of, show
from ingress_testbed.bench.workloads import Workload
from ingress_testbed.demo.processes import Process, Processes, environment, ingress

_LOOK_SECONDS = 0.02
_GATE = "LOCK TABLE assets IN EXCLUSIVE MODE"
_BARE = "bare aiokafka"
_FIRST = "first attempt"
_ONE = "one consumer"
_TWO = "two consumers"


@dataclass(frozen=True, slots=True)
class Site:
    """What the contenders share. `seconds` are what a first attempt gets."""

    brokers: Brokers
    url: str
    pool: asyncpg.Pool
    directory: Path
    seconds: float


async def bench(site: Site, workload: Workload, rounds: int, observation: Observation) -> None:
    """Measure all of them on a topic that holds a workload, and print what was found."""
    click.echo(f"{workload.name}: filling a topic", err=True)
    kafka = await site.brokers.filled(workload.envelopes)
    # The records of one vehicle stand in one partition, which no two members share.
    shared = len({one.subject for one in workload.envelopes}) > PARTITIONS
    async with site.pool.acquire() as connection:
        counts = {_ONE: 1} | ({_TWO: 2} if shared else {})
        members = {
            name: storing(connection, consumers(site, kafka, count), workload)
            for name, count in counts.items()
        }
        trials = {
            BARE_COPY: storing(connection, bare_copy(connection), workload),
            **members,
            _BARE: timed(bare_loop(kafka), workload),
            _FIRST: timed(first_loop(site, kafka), workload),
        }
        what = f"{workload.name}, draining"
        # The first one makes assets, signals and partitions.
        await interleaved(f"{what}, to warm up", {_ONE: members[_ONE]}, 1)
        found = await interleaved(what, trials, rounds)
        title = f"{what}: {len(workload.rows):,} readings"
        show(title, found, [BARE_COPY, _BARE, _FIRST])
        if shared:
            ratios = ratios_of(found[_TWO], found[_ONE])
            click.echo(
                f"two consumers beside one: {median(ratios):.2f} of its rate "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
        for name, trial in members.items():
            async with observation.of(f"{name}, {workload.name}", len(workload.envelopes)):
                await interleaved(f"{what}, observed", {name: trial}, 1)


def consumers(site: Site, kafka: KafkaSettings, count: int) -> Contender:
    """Run members of a new group as processes of their own.

    Timed from when all have their partitions until the last offset is committed; what was committed
    by then does not count. Of several, the first one is kept from storing while the others join.
    """

    async def run(workload: Workload) -> float:
        group = f"bench-{uuid4().hex[:8]}"
        variables = environment(
            INGRESS_DATABASE_URL=site.url,
            INGRESS_KAFKA_BOOTSTRAP=kafka.servers,
            INGRESS_KAFKA_TOPIC=kafka.topic,
            INGRESS_LOG_FORMAT="json",
            CORE_CONSUMER_GROUP=group,
            CORE_CONSUMER_METRICS_PORT="0",
        )

        async def drained(members: Sequence[Process], records: int) -> float:
            async with observed(kafka, group) as progress:
                if count > 1:
                    async with site.pool.acquire() as connection, connection.transaction():
                        await connection.execute(_GATE)
                        await _until(lambda: _all_known(members))
                await _until(lambda: _shared_out(members))
                clock = Stopwatch()
                before = await progress.committed()
                await _until(lambda: progress.reached(records))
                return (records - before) / clock.seconds

        async with Processes(site.directory) as processes:
            members = [
                await processes.start(f"{group}-{number}", ingress("consumer"), variables)
                for number in range(count)
            ]
            return await processes.guard(drained(members, len(workload.envelopes)))

    return run


def bare_loop(kafka: KafkaSettings) -> Contender:
    """Get batches and drop them; commit at the end."""

    async def run(workload: Workload) -> float:
        consumer = AIOKafkaConsumer(
            kafka.topic,
            bootstrap_servers=kafka.servers,
            group_id=f"bare-{uuid4().hex[:8]}",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await consumer.start()
        try:
            records = ConsumerSettings().batch_records
            clock = Stopwatch()
            left = len(workload.envelopes)
            while left > 0:
                batch = await consumer.getmany(timeout_ms=POLL_MS, max_records=records)
                left -= sum(map(len, batch.values()))
            await consumer.commit()
            return len(workload.envelopes) / clock.seconds
        finally:
            await consumer.stop()

    return run


def first_loop(site: Site, kafka: KafkaSettings) -> Contender:
    """Store a message at a time, for some seconds."""

    async def run(_workload: Workload) -> float:
        return await first_attempt.stored(kafka, site.pool, site.seconds)

    return run


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 — neither logs nor brokers call back
        await asyncio.sleep(_LOOK_SECONDS)


async def _shared_out(members: Sequence[Process]) -> bool:
    """Tell whether every member has its share of the partitions."""
    shares = [history[-1] if history else set() for history in map(_shares, members)]
    return all(shares) and sum(map(len, shares)) == PARTITIONS


async def _all_known(members: Sequence[Process]) -> bool:
    """Tell whether somebody who had partitions must share them now, or all have some."""
    yielded = any(history[-1:] == [set()] and any(history) for history in map(_shares, members))
    return yielded or await _shared_out(members)


def _shares(member: Process) -> list[set[int]]:
    """Return the partitions that a member had, one assignment after the other, by its log."""
    found: list[set[int]] = []
    for line in member.lines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "partitions_assigned":
            found.append(set(event["partitions"]))
        elif event.get("event") == "partitions_revoked":
            found.append(set())
    return found
