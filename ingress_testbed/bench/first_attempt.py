"""What a user would write first: a message at a time, on either side of Kafka.

Much of it is waiting for disks, so a bounded time tells the rate.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaProducer
from faststream.kafka import KafkaBroker
from pydantic import BaseModel

from ingress_contracts.kafka import KafkaRecord
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.bench.measure import Stopwatch

_TABLES = """
DROP TABLE IF EXISTS first_history, first_latest;
CREATE TABLE first_history (
    vehicle text, label text, observed timestamptz, value float8,
    PRIMARY KEY (vehicle, label, observed)
);
CREATE TABLE first_latest (
    vehicle text, label text, observed timestamptz, value float8, PRIMARY KEY (vehicle, label)
)
"""
_HISTORY = """
INSERT INTO first_history (vehicle, label, observed, value) VALUES ($1, $2, $3, $4)
ON CONFLICT (vehicle, label, observed) DO UPDATE SET value = excluded.value
"""
_LATEST = """
INSERT INTO first_latest AS l (vehicle, label, observed, value) VALUES ($1, $2, $3, $4)
ON CONFLICT (vehicle, label) DO UPDATE SET observed = excluded.observed, value = excluded.value
WHERE l.observed < excluded.observed
"""
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


class Payload(BaseModel):
    """One datapoint."""

    vid: str
    label: str
    value: float
    time: int


class Frame(BaseModel):
    """What the provider sends."""

    payload: Payload


async def stored(kafka: KafkaSettings, pool: asyncpg.Pool, seconds: float) -> float:
    """Run a FastStream handler, two upserts a transaction; return messages a second."""
    await pool.execute(_TABLES)
    broker = KafkaBroker(kafka.servers, logger=None)
    begun = asyncio.Event()
    handled = 0

    @broker.subscriber(
        kafka.topic, group_id=f"first-{uuid4().hex[:8]}", auto_offset_reset="earliest"
    )
    async def store(frame: Frame) -> None:
        nonlocal handled
        begun.set()
        one = frame.payload
        row = (one.vid, one.label, _1970 + timedelta(milliseconds=one.time), one.value)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_HISTORY, *row)
            await connection.execute(_LATEST, *row)
        handled += 1

    await broker.start()
    try:
        await begun.wait()
        clock, before = Stopwatch(), handled
        await asyncio.sleep(seconds)
        return (handled - before) / clock.seconds
    finally:
        await broker.stop()


async def sent(kafka: KafkaSettings, records: Iterable[KafkaRecord], seconds: float) -> float:
    """Send a record and wait for it, then the next one; return records a second."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.servers, acks="all", enable_idempotence=True
    )
    await producer.start()
    try:
        clock, number = Stopwatch(), 0
        for each in records:
            await producer.send_and_wait(
                kafka.topic, each.value, key=each.key, headers=each.headers
            )
            number += 1
            if clock.seconds >= seconds:
                break
        return number / clock.seconds
    finally:
        await producer.stop()
