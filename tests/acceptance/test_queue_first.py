"""Kafka fails under queue-first, and the way to core is changed in mid-replay: real processes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingress_testbed.faults.design import Design
from ingress_testbed.faults.endurance import Endured, endured
from ingress_testbed.faults.verdict import objections
from ingress_testbed.faults.ways import CAUTIOUS, fallen_over, switched
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import open_recording
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka

pytestmark = [pytest.mark.anyio, pytest.mark.trials, pytest.mark.broker]

EVERY_WAY = ("shadow", "queue-first", "kafka", "http")


@pytest.fixture
def design(tmp_path: Path) -> Design:
    """Replay slowly, for some minutes at most."""
    path = tmp_path / "day.jsonl"
    record_fleet(FleetPlan(vehicles=10, hours=1, seed=6), path)
    return Design(
        open_recording(path),
        speed="15",
        resend=False,
        publisher={**CAUTIOUS, "PUBLISHER_SEND_DEADLINE_SECONDS": "5"},
    )


async def test_one_journal_goes_on_under_every_way_to_core(
    postgres_url: str, kafka: KafkaCluster, design: Design, tmp_path: Path
) -> None:
    design = replace(design, speed="120", resend=True)

    seen = await endured(design, switched("http", *EVERY_WAY), tmp_path, postgres_url, kafka)

    assert list(complaints(seen)) == []


async def test_traffic_goes_on_while_the_broker_hangs_and_returns_to_it(
    postgres_url: str, design: Design, tmp_path: Path
) -> None:
    with running_kafka(tmp_path) as cluster:
        (broker,) = cluster.brokers
        mishap = fallen_over([(broker.hang, broker.resume)] * 2)
        seen = await endured(design, mishap, tmp_path, postgres_url, cluster)

    assert list(complaints(seen)) == []


@pytest.mark.kafka
async def test_traffic_goes_on_while_the_broker_is_stopped_or_killed_and_returns_to_it(
    postgres_url: str, design: Design, tmp_path: Path
) -> None:
    with running_kafka(tmp_path, choice="installed") as cluster:
        (broker,) = cluster.brokers
        mishap = fallen_over([(broker.stop, broker.start), (broker.kill, broker.start)])
        seen = await endured(design, mishap, tmp_path, postgres_url, cluster)

    assert list(complaints(seen)) == []


def complaints(seen: Endured) -> Iterator[str]:
    yield from objections(seen.ending)
    if seen.false_alarms:
        yield f"{seen.false_alarms:,} messages were unaccounted for meanwhile."
