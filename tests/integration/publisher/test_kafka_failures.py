"""The Kafka transport and brokers that hang, are away, or refuse."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from pydantic import SecretStr

from ingress_contracts.kafka import decode
from ingress_runtime.kafka import topics
from ingress_runtime.kafka.connection import connected
from ingress_runtime.kafka.producer import Producer
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka
from telematics_publisher.errors import (
    BatchRefused,
    DeadlineExceeded,
    NotAuthorised,
    Unavailable,
    Unreachable,
)
from telematics_publisher.transports.kafka import KafkaTransport
from tests.integration.publisher.traffic import Make, Read, batch, envelope, gone, sent

pytestmark = pytest.mark.anyio


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
