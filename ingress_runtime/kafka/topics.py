"""The topic: what it is like, whether that will do, and making it.

Nothing in here lets a broker make a topic by itself, with whatever its defaults are.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from aiokafka import AIOKafkaClient
from aiokafka.errors import (
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import (
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DescribeConfigsRequest,
)
from aiokafka.protocol.metadata import MetadataRequest

from ingress_runtime.findings import Finding, fail, ok, warn
from ingress_runtime.kafka.errors import NotWritable, TopicMissing
from ingress_runtime.kafka.settings import LARGEST_BATCH

_LOOK_SECONDS = 0.1
_TOPIC_RESOURCE = 2
_SHORT_RETENTION = timedelta(hours=24)
_SAFE_REPLICAS = 3
FOREVER = timedelta.max
PARTITIONS = 12
RETENTION = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as its brokers describe it.

    `replicas` and `in_sync` are those of the partition that has the fewest. `configuration` is
    empty where the brokers do not tell.
    """

    name: str
    partitions: int
    replicas: int
    in_sync: int
    leaderless: tuple[int, ...] = ()
    configuration: Mapping[str, str] = field(default_factory=dict)

    @property
    def retention(self) -> timedelta | None:
        """How long records are kept, or None where that is not told."""
        milliseconds = self._number("retention.ms")
        if milliseconds is None:
            return None
        return FOREVER if milliseconds < 0 else timedelta(milliseconds=milliseconds)

    @property
    def min_in_sync(self) -> int:
        """How many replicas must have a record before it is acknowledged."""
        return self._number("min.insync.replicas") or 1

    @property
    def largest_batch(self) -> int | None:
        """The most bytes of a batch, compressed, or None where that is not told."""
        return self._number("max.message.bytes")

    @property
    def compacted(self) -> bool:
        """Whether older records of a key are thrown away."""
        return "compact" in self.configuration.get("cleanup.policy", "")

    def _number(self, name: str) -> int | None:
        try:
            return int(self.configuration[name])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Wish:
    """A topic that somebody wants; None where whatever there is will do.

    A new topic then gets PARTITIONS, RETENTION, and three replicas or as many as there are brokers.
    """

    name: str
    partitions: int | None = None
    retention: timedelta | None = None
    replication: int | None = None


def create_command(name: str) -> str:
    """Return what to type to make the topic."""
    return f"INGRESS_KAFKA_TOPIC={name} ingress topics create"


async def describe(client: AIOKafkaClient, name: str) -> Topic | None:
    """Return what the brokers say of a topic, or None if it is not there.

    Raises aiokafka's errors, which `connection.connected` translates.
    """
    answer = await client.send(
        client.get_random_node(), MetadataRequest([name], allow_auto_topic_creation=False)
    )
    ((code, _, _, partitions),) = answer.topics
    error = for_code(code)
    if error is UnknownTopicOrPartitionError:
        return None
    if error is not NoError:
        raise error(name)
    rows = [row[1:5] for row in partitions]  # partition, leader, replicas, those in sync
    return Topic(
        name=name,
        partitions=len(rows),
        replicas=min((len(replicas) for _, _, replicas, _ in rows), default=0),
        in_sync=min((len(isr) for *_, isr in rows), default=0),
        leaderless=tuple(sorted(partition for partition, leader, *_ in rows if leader < 0)),
        configuration=await _configuration(client, name),
    )


async def require(client: AIOKafkaClient, name: str) -> Topic:
    """Return what the brokers say of a topic. Raises TopicMissing, which says what to type."""
    topic = await describe(client, name)
    if topic is None:
        raise TopicMissing(f"there is no topic {name}. Make it: {create_command(name)}")
    return topic


async def create(client: AIOKafkaClient, wish: Wish) -> Topic:
    """Make the topic, or give one that is there the partitions that it lacks; return it.

    Waits until every partition can be written to. What else differs is left as it is. Raises
    NotWritable where the brokers do not want it so.
    """
    topic = await describe(client, wish.name)
    if topic is None:
        await _create(client, wish)
    elif topic.partitions < (wish.partitions or 0):
        await _add_partitions(client, wish)
    while True:  # brokers tell nobody when a topic is ready
        topic = await describe(client, wish.name)
        if topic and topic.partitions >= (wish.partitions or 1) and not topic.leaderless:
            return topic
        await asyncio.sleep(_LOOK_SECONDS)


def differences(topic: Topic, wish: Wish) -> Iterator[str]:
    """Say in what a topic is not as it was wished for."""
    if wish.partitions is not None and topic.partitions > wish.partitions:
        yield f"{topic.partitions} partitions, and Kafka takes none away"
    if wish.replication is not None and topic.replicas != wish.replication:
        yield f"{number(topic.replicas, 'replica')} each (kafka-reassign-partitions.sh changes that)"
    if None not in {wish.retention, topic.retention} and topic.retention != wish.retention:
        yield f"records are kept for {_shown(topic.retention)} (kafka-configs.sh changes that)"


def check(topic: Topic, brokers: int) -> Iterator[Finding]:
    """Judge whether a topic will do for envelopes on their way to core, in a cluster so large."""
    subject = f"topic {topic.name}"
    kept = "" if topic.retention is None else f", kept for {_shown(topic.retention)}"
    yield ok(
        subject,
        f"{number(topic.partitions, 'partition')}, {number(topic.replicas, 'replica')} each{kept}",
    )
    yield from unwritable(topic)
    if topic.compacted:
        yield fail(
            subject,
            "its cleanup.policy compacts: of each vehicle only the newest record would stay",
            "Set cleanup.policy=delete with kafka-configs.sh.",
        )
    if brokers >= _SAFE_REPLICAS:
        yield from _check_safety(subject, topic)
    yield from _check_limits(subject, topic)


def unwritable(topic: Topic) -> Iterator[Finding]:
    """Say why records cannot be written to every partition, if that is so."""
    subject = f"topic {topic.name}"
    if topic.leaderless:
        yield fail(
            subject,
            f"nobody leads partitions {', '.join(map(str, topic.leaderless))}",
            "Start the brokers that hold them: what belongs there waits at its sender.",
        )
    elif topic.in_sync < topic.min_in_sync:
        yield fail(
            subject,
            f"a partition has {topic.in_sync} replicas in sync, and needs {topic.min_in_sync}",
            "Start the brokers that hold the others: until then nothing is written there.",
        )


def _check_safety(subject: str, topic: Topic) -> Iterator[Finding]:
    if topic.replicas < _SAFE_REPLICAS:
        yield warn(
            subject,
            f"each record is on {number(topic.replicas, 'broker')}: a sender forgets it once it is "
            "there, so what core has not read is lost with their disks",
            "Give it three replicas with kafka-reassign-partitions.sh.",
        )
    elif topic.min_in_sync < _SAFE_REPLICAS - 1:
        yield warn(
            subject,
            "min.insync.replicas is 1: a record counts as written when one broker has it",
            "Set min.insync.replicas=2 with kafka-configs.sh.",
        )


def _check_limits(subject: str, topic: Topic) -> Iterator[Finding]:
    if topic.retention is not None and topic.retention < _SHORT_RETENTION:
        yield warn(
            subject,
            f"records are kept for {_shown(topic.retention)}: what core has not read by then is lost",
            "Give it a retention.ms of days with kafka-configs.sh.",
        )
    if topic.largest_batch is not None and topic.largest_batch < LARGEST_BATCH:
        yield warn(
            subject,
            f"max.message.bytes is {topic.largest_batch:,}: large messages would be refused",
            f"Set max.message.bytes to {LARGEST_BATCH:,} or more with kafka-configs.sh.",
        )


def number(count: int, what: str) -> str:
    """Return `3 brokers`, `1 broker`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _shown(retention: timedelta | None) -> str:
    return "ever" if retention == FOREVER else str(retention).removesuffix(", 0:00:00")


async def _create(client: AIOKafkaClient, wish: Wish) -> None:
    replication = wish.replication or min(_SAFE_REPLICAS, len(client.cluster.brokers()))
    retention = wish.retention or RETENTION
    kept = -1 if retention == FOREVER else retention // timedelta(milliseconds=1)
    configuration = {
        "cleanup.policy": "delete",
        "min.insync.replicas": str(max(1, replication - 1)),
        "retention.ms": str(kept),
    }
    answer = await client.send(
        _controller(client),
        CreateTopicsRequest(
            create_topic_requests=[
                (
                    wish.name,
                    wish.partitions or PARTITIONS,
                    replication,
                    [],
                    list(configuration.items()),
                )
            ],
            timeout=client._request_timeout_ms,  # noqa: SLF001 — the client has no public name for it
            validate_only=False,
        ),
    )
    _raise(answer.topic_errors, wish.name, but=TopicAlreadyExistsError)


async def _add_partitions(client: AIOKafkaClient, wish: Wish) -> None:
    answer = await client.send(
        _controller(client),
        CreatePartitionsRequest(
            topic_partitions=[(wish.name, (wish.partitions, None))],
            timeout=client._request_timeout_ms,  # noqa: SLF001 — see above
            validate_only=False,
        ),
    )
    _raise(answer.topic_errors, wish.name)


def _controller(client: AIOKafkaClient) -> int | None:
    controller = client.cluster.controller
    found: int | None = controller.nodeId if controller else client.get_random_node()
    return found


def _raise(rows: list[tuple[str, int, str | None]], name: str, but: type | None = None) -> None:
    for _, code, *said in rows:
        error = for_code(code)
        if error is NoError or error is but:
            continue
        if getattr(error, "retriable", False) or "Authorization" in error.__name__:
            raise error(name)
        reason = next(filter(None, said), None) or error.__name__
        raise NotWritable(f"the brokers do not make topic {name} so: {reason}")


async def _configuration(client: AIOKafkaClient, name: str) -> dict[str, str]:
    answer = await client.send(
        client.get_random_node(), DescribeConfigsRequest([(_TOPIC_RESOURCE, name, None)])
    )
    return {
        entry[0]: entry[1]
        for code, _, _, _, entries in answer.resources
        if for_code(code) is NoError
        for entry in entries
        if entry[1] is not None
    }
