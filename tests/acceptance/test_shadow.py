"""HTTP with a copy to Kafka: core says whether it is safe to switch. Real processes."""

from pathlib import Path

import pytest

from ingress_testbed.faults.design import Design
from ingress_testbed.faults.verdict import objections
from ingress_testbed.faults.ways import CAUTIOUS, shadowed
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import open_recording
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka

pytestmark = [pytest.mark.anyio, pytest.mark.trials, pytest.mark.broker]


@pytest.fixture
def design(tmp_path: Path) -> Design:
    path = tmp_path / "day.jsonl"
    record_fleet(FleetPlan(vehicles=10, hours=0.2, seed=6), path)
    shadow = {**CAUTIOUS, "INGRESS_TRANSPORT": "shadow"}
    return Design(open_recording(path), speed="30", publisher=shadow)


async def test_switch_is_safe_where_every_copy_came(
    postgres_url: str, kafka: KafkaCluster, design: Design, tmp_path: Path
) -> None:
    seen = await shadowed(design, tmp_path, postgres_url, kafka)

    assert list(objections(seen.ending)) == []
    assert (seen.report["verdict"], seen.report["reasons"]) == ("safe", [])


@pytest.mark.kafka
async def test_copies_that_a_stopped_broker_missed_are_named(
    postgres_url: str, design: Design, tmp_path: Path
) -> None:
    with running_kafka(tmp_path, choice="installed") as cluster:
        (broker,) = cluster.brokers
        harm = (broker.stop, broker.start)
        seen = await shadowed(design, tmp_path, postgres_url, cluster, harm)

    assert list(objections(seen.ending)) == []
    assert seen.report["verdict"] == "unsafe"
    (publisher,) = seen.report["publishers"]
    assert publisher["only_http"]["numbers"] > 0
    assert publisher["only_http"]["ranges"]
    assert publisher["only_kafka"]["numbers"] == 0
