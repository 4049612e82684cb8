"""What others see of that which the Kafka transport wrote: partitions, order, headers, bytes."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from ingress_contracts.kafka import decode
from ingress_runtime.kafka.settings import Compression
from ingress_testbed.servers.kafka import KafkaCluster
from tests.integration.publisher.traffic import EPOCH, Make, Read, batch, envelope

pytestmark = pytest.mark.anyio


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
