"""The Kafka transport against a real broker: what holds when it hangs, and when a topic changes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from ingress_contracts.control import Checkpoint, Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.kafka import decode
from ingress_contracts.kinds import CHECKPOINT
from ingress_runtime.kafka import topics
from ingress_runtime.kafka.connection import connected
from ingress_runtime.kafka.producer import Producer
from ingress_runtime.kafka.settings import Compression, KafkaSettings
from ingress_runtime.settings import SettingsError
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka
from telematics_publisher.errors import (
    BatchRefused,
    DeadlineExceeded,
    NotAuthorised,
    Unavailable,
    Unreachable,
    WayClosed,
)
from telematics_publisher.records import Envelopes, Record, Stored, connection_lane, provider_lane
from telematics_publisher.retry import RETRYABLE
from telematics_publisher.settings import TransportSettings
from telematics_publisher.streams import Workspace
from telematics_publisher.transports.kafka import KafkaTransport
from telematics_publisher.ways import Way

pytestmark = pytest.mark.anyio

Make = Callable[..., KafkaTransport]
Read = Callable[[str, int], Awaitable[list[ConsumerRecord]]]

EPOCH = UUID("0190b0d0-0000-7000-8000-000000000001")
LANE = provider_lane("viriciti", "/viriciti/acme/buses", timestamped=True)
STATES = connection_lane("viriciti", "/viriciti/acme/buses")
ENVELOPES = Envelopes("acme", "edge-1")
RECEIVED = 1_700_000_000_000_001


def envelope(number: int, data: bytes = b"{}", vehicle: str | None = "arcc_004") -> Envelope:
    lane = LANE if vehicle else STATES
    return ENVELOPES.of(Stored(EPOCH, number, Record(lane, RECEIVED, vehicle, data)))


def batch(first: int, count: int, vehicles: int = 1) -> list[Envelope]:
    return [
        envelope(number, b'{"n":%d}' % number, f"bus_{number % vehicles:03}")
        for number in range(first, first + count)
    ]


def checkpoint(routes: Sequence[Route]) -> Envelope:
    return ENVELOPES.of_checkpoint(Checkpoint(number=1, epochs=(), routes=tuple(routes)), 0)


def gone() -> float:
    return REGISTRY.get_sample_value("publisher_kafka_records_gone_total") or 0.0


@pytest.fixture
async def make(anyio_backend: str, kafka: KafkaCluster, topic: str) -> AsyncIterator[Make]:  # noqa: ARG001 — makes the fixture asynchronous
    producers = []

    def made(*, deadline: float = 30.0, **settings: Any) -> KafkaTransport:
        given = KafkaSettings(**{"bootstrap": kafka.bootstrap, "topic": topic, **settings})
        producers.append(Producer(given, deadline=deadline))
        return KafkaTransport(producers[-1], given.topic, workspace="acme")

    yield made
    for producer in producers:
        await producer.stop()


@pytest.fixture
async def admin(anyio_backend: str, kafka: KafkaCluster) -> AsyncIterator[AIOKafkaAdminClient]:  # noqa: ARG001 — likewise
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    yield client
    await client.close()


async def recreate(admin: AIOKafkaAdminClient, topic: str, partitions: int = 3) -> None:
    """Delete a topic and make it anew; brokers take a moment to forget the old one."""
    await admin.delete_topics([topic])
    while True:
        answer = await admin.create_topics([NewTopic(topic, partitions, 1)])
        if not answer.topic_errors[0][1]:
            return
        await asyncio.sleep(0.05)


async def until(transport: KafkaTransport, partitions: int) -> None:
    """Return once the transport knows of so many partitions, as its next checkpoints ask."""
    async with asyncio.timeout(60):
        while True:
            try:
                (route,) = await transport.routes()
            except Unavailable:
                continue
            if route.partitions == partitions:
                return
            await asyncio.sleep(0.05)


# what others see


async def test_a_vehicle_has_one_partition_the_one_that_other_clients_choose_and_keeps_its_order(
    make: Make, topic: str, read_topic: Read, kafka: KafkaCluster
) -> None:
    transport = make()
    await asyncio.gather(
        *(transport.publish(batch(at, 50, vehicles=7)) for at in range(1, 301, 50))
    )
    records = await read_topic(topic, 300)
    by_vehicle: dict[bytes, list[tuple[int, int]]] = {}
    for record in records:
        sent = decode(record.headers, record.value, record.key)
        assert sent.sequence is not None
        by_vehicle.setdefault(record.key, []).append((record.partition, sent.sequence))
    assert len(by_vehicle) == 7
    for places in by_vehicle.values():
        assert len({partition for partition, _ in places}) == 1
        assert [number for _, number in places] == sorted(number for _, number in places)
    assert len({partition for places in by_vehicle.values() for partition, _ in places}) > 1
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as other:
        for key, places in by_vehicle.items():
            there = await other.send_and_wait(topic, b"x", key=key)
            assert there.partition == places[0][0]


async def test_what_a_stream_says_of_itself_has_no_key_and_stays_together(
    make: Make, topic: str, read_topic: Read
) -> None:
    await make().publish([envelope(number, vehicle=None) for number in range(1, 21)])
    records = await read_topic(topic, 20)
    assert {record.key for record in records} == {None}
    assert len({record.partition for record in records}) == 1


@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "zstd"])
async def test_bare_aiokafka_confluent_and_cloudevents_read_headers_and_the_providers_bytes(
    make: Make, topic: str, read_topic: Read, kafka: KafkaCluster, compression: Compression
) -> None:
    data = '{"type":"vehicles","payload":{"vid":"arcc_004","label":"soc","näme":57.50}}'.encode()
    sent = envelope(41, data)
    await make(compression=compression).publish([sent] * 20)
    expected = {
        "ce_specversion": b"1.0",
        "ce_id": sent.id.encode(),
        "ce_source": b"/viriciti/acme/buses",
        "ce_type": b"telematics.provider.message.v1",
        "ce_subject": b"arcc_004",
        "ce_provider": b"viriciti",
        "ce_workspaceid": b"acme",
        "ce_publisherid": b"edge-1",
        "ce_publisherepoch": str(EPOCH).encode(),
        "ce_sequence": b"41",
    }
    record = (await read_topic(topic, 20))[0]
    assert dict(record.headers).items() >= expected.items()
    assert (record.key, record.value) == (b"arcc_004", data)

    message = await asyncio.to_thread(confluent_read, kafka.bootstrap, topic, record.partition)
    assert dict(message.headers()).items() >= expected.items()
    assert (message.key(), message.value()) == (b"arcc_004", data)

    event = from_kafka_event(KafkaMessage(dict(record.headers), record.key, record.value))
    assert event.get_attributes()["id"] == sent.id
    assert event.get_attributes()["sequence"] == "41"
    assert event.get_data() == json.loads(data)  # the SDK's own view of our bytes


def confluent_read(bootstrap: str, topic: str, partition: int) -> Any:
    """Read the first message of a partition with librdkafka."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"test-{uuid4().hex}"})
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        message = consumer.poll(60.0)
        assert message is not None
        assert message.error() is None
        return message
    finally:
        consumer.close()


# what fails


@pytest.fixture
def own(kafka: KafkaCluster, tmp_path: Path) -> Iterator[KafkaCluster]:
    """A broker that a test may hurt."""
    if Capability.OWN_PROCESS not in kafka.capabilities:
        pytest.skip(f"{kafka.description} is not ours to hurt")
    with running_kafka(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def hurt(own: KafkaCluster) -> AsyncIterator[KafkaTransport]:
    """A transport with a short deadline to that broker, which has answered once."""
    settings = KafkaSettings(bootstrap=own.bootstrap, topic="hurt")
    async with connected(settings, 60.0) as client:
        await topics.create(client, topics.Wish("hurt", partitions=3))
    producer = Producer(settings, deadline=3.0)
    transport = KafkaTransport(producer, "hurt", workspace="acme")
    await sent(transport, batch(1, 10, vehicles=5))
    yield transport
    await producer.stop()


async def sent(transport: KafkaTransport, batch: Sequence[Envelope]) -> None:
    """Publish, again and again while a retry may help, as a sender does."""
    async with asyncio.timeout(120):
        while True:
            try:
                await transport.publish(batch)
            except RETRYABLE:
                continue
            return


async def test_a_hung_broker_costs_each_attempt_its_deadline_and_is_used_again_once_it_answers(
    own: KafkaCluster, hurt: KafkaTransport
) -> None:
    tasks_before = len(asyncio.all_tasks())
    own.brokers[0].hang()
    try:
        for attempt in range(3):
            batches = [batch(100 * attempt + at, 10) for at in range(11, 41, 10)]
            results = await asyncio.gather(*map(hurt.publish, batches), return_exceptions=True)
            assert {type(result) for result in results} == {DeadlineExceeded}
            # What was given up does not pile up: one producer at most is on its way out.
            assert len(asyncio.all_tasks()) <= tasks_before + 8
    finally:
        own.brokers[0].resume()
    await sent(hurt, batch(1_000, 10))


@pytest.mark.capability(Capability.SURVIVES_KILL)
async def test_a_broker_that_is_away_is_unreachable_and_nothing_is_lost_over_its_restart(
    own: KafkaCluster, hurt: KafkaTransport
) -> None:
    own.brokers[0].kill()
    for _ in range(2):
        with pytest.raises(Unreachable):
            await hurt.publish(batch(11, 10))
    own.brokers[0].start()
    before = gone()
    await sent(hurt, batch(11, 10, vehicles=5))
    assert gone() == before


@pytest.mark.capability(Capability.LIMITS_BATCHES)
async def test_a_batch_that_is_refused_leaves_no_gap_in_the_numbering_of_the_next(
    make: Make, topic: str, read_topic: Read, admin: AIOKafkaAdminClient
) -> None:
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "20000"})]
    )
    transport = make(compression="none")
    await transport.publish(batch(1, 5))
    with pytest.raises(BatchRefused) as caught:
        await transport.publish([envelope(6, b"x" * 30_000)])
    assert caught.value.reason == "too_large"
    await transport.publish(batch(7, 200))
    records = await read_topic(topic, 205)
    numbers = [decode(one.headers, one.value, one.key).sequence for one in records]
    assert numbers == [*range(1, 6), *range(7, 207)]


@pytest.mark.kafka
async def test_too_few_replicas_ask_for_patience(tmp_path: Path) -> None:
    with running_kafka(tmp_path, brokers=3) as cluster:
        settings = KafkaSettings(bootstrap=cluster.bootstrap, topic="three")
        async with connected(settings, 60.0) as client:
            await topics.create(client, topics.Wish("three", partitions=3))
        producer = Producer(settings, deadline=20.0)
        transport = KafkaTransport(producer, "three", workspace="acme")
        await sent(transport, batch(1, 10, vehicles=5))
        for broker in cluster.brokers[1:]:
            broker.hang()
        try:
            with pytest.raises((Unavailable, DeadlineExceeded)):
                await transport.publish(batch(11, 10, vehicles=5))
        finally:
            for broker in cluster.brokers[1:]:
                broker.resume()
        await sent(transport, batch(11, 10, vehicles=5))
        await producer.stop()


async def test_credentials_that_the_brokers_do_not_take_are_not_authorised(make: Make) -> None:
    transport = make(
        security_protocol="SASL_PLAINTEXT",
        sasl_username="edge",
        sasl_password=SecretStr("wrong"),
    )
    with pytest.raises(NotAuthorised):
        await transport.publish(batch(1, 1))


# topics that change


@pytest.mark.capability(Capability.ADDS_PARTITIONS)
async def test_partitions_that_are_added_are_used_and_named_from_the_next_checkpoint_on(
    make: Make, topic: str, read_topic: Read, admin: AIOKafkaAdminClient
) -> None:
    transport = make()
    await transport.publish(batch(1, 60, vehicles=30))
    await admin.create_partitions({topic: NewPartitions(total_count=5)})
    await until(transport, partitions=5)
    routes = await transport.routes()
    await transport.publish(batch(61, 60, vehicles=30))
    await transport.publish([checkpoint(routes)])
    records = await read_topic(topic, 125)
    assert {one.partition for one in records if one.key is not None} == {0, 1, 2, 3, 4}
    last = {one.partition: one for one in records}
    for each in last.values():  # behind all records, in every partition
        assert decode(each.headers, each.value, each.key).type == CHECKPOINT


async def published_until_refused(transport: KafkaTransport) -> None:
    """Publish again and again: brokers take a moment to delete a topic."""
    async with asyncio.timeout(60):
        while True:
            await transport.publish([envelope(41)])


@pytest.mark.capability(Capability.REPORTS_MISSING_TOPICS)
async def test_a_topic_that_vanished_is_reported_with_the_numbers_that_it_held(
    make: Make, topic: str, admin: AIOKafkaAdminClient
) -> None:
    transport = make(deadline=5.0)
    await transport.publish(batch(1, 40, vehicles=9))
    before = gone()
    await admin.delete_topics([topic])
    with capture_logs() as logs, pytest.raises(Unavailable, match="ingress topics create"):
        await published_until_refused(transport)
    (said,) = (one for one in logs if one["event"] == "kafka_records_gone")
    assert said["numbers"][str(EPOCH)].startswith("1-40")
    assert gone() - before >= 40


@pytest.mark.capability(Capability.REPORTS_MISSING_TOPICS)
async def test_a_topic_that_was_made_anew_is_reported_once_and_used(
    make: Make, topic: str, read_topic: Read, admin: AIOKafkaAdminClient
) -> None:
    transport = make(deadline=5.0)
    await transport.publish(batch(1, 40, vehicles=9))
    before = gone()
    await recreate(admin, topic)
    await sent(transport, batch(41, 40, vehicles=9))
    assert gone() - before == 40
    await sent(transport, batch(81, 40, vehicles=9))
    assert gone() - before == 40
    assert {1, 40}.isdisjoint(
        decode(one.headers, one.value, one.key).sequence for one in await read_topic(topic, 80)
    )


@pytest.mark.capability(Capability.REPORTS_MISSING_TOPICS)
async def test_a_missing_topic_refuses_the_start_and_says_what_to_type(kafka: KafkaCluster) -> None:
    way = Way(
        TransportSettings(transport="kafka"),
        KafkaSettings(bootstrap=kafka.bootstrap, topic="not-there"),
    )
    with pytest.raises(WayClosed, match="INGRESS_KAFKA_TOPIC=not-there ingress topics create"):
        async with way.opened(deadline=10.0, window=3):
            pass


async def test_brokers_that_are_away_do_not_refuse_the_start(unused_address: str) -> None:
    way = Way(TransportSettings(transport="kafka"), KafkaSettings(bootstrap=unused_address))
    async with way.opened(deadline=10.0, window=3) as transports:
        transport = transports(Workspace("acme", "edge-1", None, ()))
        with pytest.raises(Unreachable):
            await transport.publish(batch(1, 1))


async def test_settings_that_name_no_broker_refuse_the_start() -> None:
    way = Way(TransportSettings(transport="kafka"))
    with pytest.raises(SettingsError, match="INGRESS_KAFKA_BOOTSTRAP is not set"):
        async with way.opened(deadline=10.0, window=3):
            pass


@pytest.fixture
def unused_address() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"
