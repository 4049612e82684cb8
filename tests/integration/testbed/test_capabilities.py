"""What a broker is said to be capable of, it does."""

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster

pytestmark = pytest.mark.anyio


@pytest.mark.capability(Capability.IDEMPOTENCE)
async def test_an_idempotent_producer_is_served(kafka: KafkaCluster, topic: str) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, enable_idempotence=True
    ) as producer:
        assert (await producer.send_and_wait(topic, b"once", partition=0)).offset == 0


@pytest.mark.capability(Capability.TRUE_END_OFFSETS)
async def test_the_end_is_after_the_last_record_of_a_batch(kafka: KafkaCluster, topic: str) -> None:
    partition = TopicPartition(topic, 0)
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer,
    ):
        batch = producer.create_batch()
        for _ in range(3):
            batch.append(key=None, value=b"v", timestamp=None)
        await (await producer.send_batch(batch, topic, partition=0))
        assert await consumer.end_offsets([partition]) == {partition: 3}


@pytest.mark.capability(Capability.REPORTS_MISSING_TOPICS)
async def test_a_missing_topic_is_reported_and_stays_missing(kafka: KafkaCluster) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        (missing,) = await admin.describe_topics(["nowhere-to-be-found"])
        assert missing["error_code"] == 3  # UNKNOWN_TOPIC_OR_PARTITION
        assert "nowhere-to-be-found" not in await admin.list_topics()
    finally:
        await admin.close()


@pytest.mark.capability(Capability.ADDS_PARTITIONS)
async def test_a_topic_gets_more_partitions(kafka: KafkaCluster, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(5)})
        (described,) = await admin.describe_topics([topic])
        assert len(described["partitions"]) == 5
    finally:
        await admin.close()


@pytest.mark.capability(Capability.CONSUMER_GROUPS)
async def test_a_group_keeps_its_offsets(kafka: KafkaCluster, topic: str) -> None:
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, group_id=topic, session_timeout_ms=6_000
    ) as member:
        assert partition in member.assignment()
        assert await member.committed(partition) is None
        await member.commit({partition: 7})
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=topic) as onlooker:
        onlooker.assign([partition])
        assert await onlooker.committed(partition) == 7
