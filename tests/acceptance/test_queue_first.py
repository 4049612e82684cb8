"""Kafka fails under queue-first, and the way to core is changed in mid-replay: real processes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingress_testbed.faults.design import Design
from ingress_testbed.faults.endurance import Endured, endured
from ingress_testbed.faults.verdict import objections
from ingress_testbed.faults.ways import CAUTIOUS, Felt, Pulse, fallen_over, pulsing, switched
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import open_recording
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka

pytestmark = [pytest.mark.anyio, pytest.mark.trials, pytest.mark.broker]

COMES_AND_GOES = Pulse(hangs=3.0, answers=3.0, times=8)
SLOW = Pulse(hangs=0.4, answers=0.1, times=40)
SLOWER_THAN_THE_DEADLINE = Pulse(hangs=3.0, answers=0.1, times=6)
WARY = {"INGRESS_QUEUE_PAUSE_SECONDS": "2", "INGRESS_QUEUE_PROBES": "3"}
"""The pause that doubles is soon longer than any pulse, and three probes take two seconds."""

LONGEST_SECONDS = 2.0 + 5.0
"""The deadlines of one attempt by Kafka, and of the batch that then goes over HTTP."""

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


@pytest.mark.parametrize("pulse", [COMES_AND_GOES, SLOWER_THAN_THE_DEADLINE], ids=["flaps", "slow"])
async def test_traffic_does_not_follow_a_broker_that_comes_and_goes(
    postgres_url: str, design: Design, tmp_path: Path, pulse: Pulse
) -> None:
    felt = Felt()
    design = replace(design, publisher={**design.publisher, **WARY})
    with running_kafka(tmp_path, choice="embedded") as cluster:
        (broker,) = cluster.brokers
        mishap = pulsing(broker, pulse, felt)
        seen = await endured(design, mishap, tmp_path, postgres_url, cluster)

    assert list(complaints(seen)) == []
    assert 1 <= felt.failovers <= pulse.times / 2
    assert felt.standstill <= felt.failovers * LONGEST_SECONDS


async def test_a_broker_that_is_slow_but_in_time_is_not_left(
    postgres_url: str, design: Design, tmp_path: Path
) -> None:
    felt = Felt()
    design = replace(design, publisher={**design.publisher, "INGRESS_QUEUE_DEADLINE_SECONDS": "20"})
    with running_kafka(tmp_path, choice="embedded") as cluster:
        (broker,) = cluster.brokers
        seen = await endured(design, pulsing(broker, SLOW, felt), tmp_path, postgres_url, cluster)

    assert list(complaints(seen)) == []
    assert felt.failovers == 0


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
