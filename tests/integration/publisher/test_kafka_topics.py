"""The Kafka transport and a topic that grows, vanishes, is made anew, or was never there."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from structlog.testing import capture_logs

from ingress_contracts.kafka import decode
from ingress_contracts.kinds import CHECKPOINT
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.settings import SettingsError
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster
from telematics_publisher.errors import Unavailable, Unreachable, WayClosed
from telematics_publisher.settings import TransportSettings
from telematics_publisher.streams import Workspace
from telematics_publisher.transports.kafka import KafkaTransport
from telematics_publisher.ways import Way
from tests.integration.publisher.traffic import (
    EPOCH,
    Make,
    Read,
    batch,
    checkpoint,
    envelope,
    gone,
    recreate,
    sent,
)

pytestmark = pytest.mark.anyio


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
