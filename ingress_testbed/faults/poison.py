"""A trial of poison: records that nobody can use, in the middle of a batch of good ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from core_ingest.unreadable import UNKNOWN_WORKSPACE
from ingress_contracts import kafka
from ingress_contracts.kafka import KafkaRecord
from ingress_testbed.demo.queue import Queue
from ingress_testbed.faults.crashes import settled
from ingress_testbed.faults.design import API, CONSUMER, PROBE, PUBLISHER, PUBLISHER_ID, Design
from ingress_testbed.faults.mishaps import until
from ingress_testbed.faults.plant import Plant
from ingress_testbed.faults.planting import planted
from ingress_testbed.faults.verdict import Ending, dead_letters, ending_of
from ingress_testbed.servers.kafka import KafkaCluster
from telematics_publisher.clock import wall_clock
from telematics_publisher.records import Envelopes, Record, Stored, provider_lane

_BATCH = 500
_ACKNOWLEDGED = "publisher_records_acknowledged_total"
_BATCHES = "core_consumer_batch_records_count"
_RECORDS = "core_consumer_batch_records_sum"


@dataclass(frozen=True, slots=True)
class Poisoned:
    """How it ended; dead letters by workspace and reason; how large core's batches were on average."""

    ending: Ending
    dead_letters: Mapping[str, Mapping[str, int]]
    records_a_batch: float


async def poisoned(
    design: Design, directory: Path, postgres_url: str, cluster: KafkaCluster
) -> Poisoned:
    """Fill a topic, two records of poison in the middle, and only then read it, 500 at a time.

    One is no envelope at all, the other one, of the workspace PROBE, has data that are no message.
    """
    async with planted(design, directory, postgres_url, cluster=cluster) as plant:
        await plant.start(API)
        await plant.start(PUBLISHER)
        await _acknowledged(plant, _BATCH)
        if plant.queue is not None:
            await _write(plant.queue, [KafkaRecord(None, b"\x00poison", []), _no_message()])
        await _acknowledged(plant, _BATCH)
        await plant.end_replay()
        await settled(plant, plant.frames)
        await plant.start(CONSUMER, {"CORE_CONSUMER_BATCH_RECORDS": str(_BATCH)})
        ending = await ending_of(plant)
        metrics = await plant.metrics(CONSUMER)
        return Poisoned(
            ending,
            {name: await dead_letters(plant, name) for name in (UNKNOWN_WORKSPACE, PROBE)},
            metrics[_RECORDS] / metrics[_BATCHES],
        )


async def _acknowledged(plant: Plant, more: int) -> None:
    """Return once the topic has so many records more."""
    aim = (await plant.metrics()).get(_ACKNOWLEDGED, 0.0) + more

    async def reached() -> bool:
        return (await plant.metrics()).get(_ACKNOWLEDGED, 0.0) >= aim

    await until(plant, "the topic does not fill", reached)


def _no_message() -> KafkaRecord:
    lane = provider_lane("viriciti", f"/viriciti/{PROBE}/by-hand", timestamped=True)
    stored = Stored(uuid4(), 1, Record(lane, wall_clock(), "probe", b"\x00poison"))
    return kafka.encode(Envelopes(PROBE, PUBLISHER_ID).of(stored))


async def _write(queue: Queue, records: list[KafkaRecord]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=queue.cluster.bootstrap)
    async with producer:
        for record in records:
            await producer.send_and_wait(
                queue.topic, record.value, key=record.key, partition=0, headers=record.headers
            )
