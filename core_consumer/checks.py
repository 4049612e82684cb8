"""What core_consumer contributes to `ingress doctor`: brokers, topic, and how far its group is."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from core_consumer.settings import ConsumerSettings
from ingress_runtime.doctor import Examination
from ingress_runtime.findings import Finding, fail, ok, warn
from ingress_runtime.kafka import examination
from ingress_runtime.kafka.connection import options
from ingress_runtime.kafka.errors import TRANSLATED, translated
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.settings import load

_SECONDS = 10.0
_GROUP = "consumer group"


async def examine(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Connect, look at the topic, and ask what the group has read of it. Nothing is joined."""
    settings, kafka = load(ConsumerSettings, KafkaSettings, environ=environ)
    found, topic = await examination.look(kafka, _SECONDS)
    for finding in found:
        yield finding
    if topic is not None:
        yield await _group(settings, kafka, topic.partitions)


async def _group(settings: ConsumerSettings, kafka: KafkaSettings, partitions: int) -> Finding:
    consumer = AIOKafkaConsumer(**options(kafka), group_id=settings.group, enable_auto_commit=False)
    try:
        async with asyncio.timeout(_SECONDS):
            await consumer.start()
            places = [TopicPartition(kafka.topic, number) for number in range(partitions)]
            ends = await consumer.end_offsets(places)
            committed = {place: await consumer.committed(place) for place in places}
    except TRANSLATED as error:
        return fail(_GROUP, str(translated(error)), "Mend what it speaks of, then ask again.")
    finally:
        await _stopped(consumer)
    unread = sum(max(0, ends[place] - (committed[place] or 0)) for place in places)
    if all(offset is None for offset in committed.values()):
        return warn(
            _GROUP,
            f"{settings.group} has read nothing yet, of {unread:,} records at most",
            "Start it: `ingress consumer`. Or correct CORE_CONSUMER_GROUP.",
        )
    return ok(_GROUP, f"{settings.group} has {unread:,} records of {kafka.topic} to read")


async def _stopped(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(_SECONDS):
            await consumer.stop()
    except TRANSLATED:
        return  # a hung broker takes no goodbye


def _concerned(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("INGRESS_KAFKA_BOOTSTRAP")) and (
        bool(environ.get("INGRESS_DATABASE_URL"))
        or any(name.startswith("CORE_CONSUMER_") for name in environ)
    )


EXAMINATION = Examination(
    name="consumer",
    settings=(ConsumerSettings, KafkaSettings),
    concerned=_concerned,
    concerned_if="INGRESS_KAFKA_BOOTSTRAP is set beside INGRESS_DATABASE_URL",
    examine=examine,
)
