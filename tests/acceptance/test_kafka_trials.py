"""Core reads a queue, and everything around it fails; what was journalled arrives, once.

Real processes on Apache Kafka.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingress_testbed.faults.crashes import crash
from ingress_testbed.faults.deaths import deaths
from ingress_testbed.faults.design import CONSUMER, Design
from ingress_testbed.faults.endurance import Endured, endured
from ingress_testbed.faults.mishaps import (
    away_for,
    each_killed,
    members_come_and_go,
    only_one_fails,
    restarted_in_mid_batch,
)
from ingress_testbed.faults.outages import Database
from ingress_testbed.faults.poison import poisoned
from ingress_testbed.faults.proxy import Proxy
from ingress_testbed.faults.verdict import objections
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import Recording, open_recording
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka
from ingress_testbed.servers.postgres import OwnPostgres, running_postgres

pytestmark = [pytest.mark.anyio, pytest.mark.trials, pytest.mark.kafka]

_SOAK_ROUNDS = int(os.environ.get("SOAK_ROUNDS", "0"))
POLL_INTERVAL_SECONDS = 2
MANY = 100  # of 500: the last batch of the topic is smaller, and checkpoints come by themselves
IMPATIENT = {"PUBLISHER_SEND_DEADLINE_SECONDS": "5"}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recorded(tmp_path_factory.mktemp("fleet"), FleetPlan(vehicles=10, hours=1, seed=6))


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with (
        tempfile.TemporaryDirectory(prefix="ingress-tests-") as directory,
        running_postgres(Path(directory)) as server,
    ):
        if not isinstance(server, OwnPostgres):
            pytest.skip("INGRESS_DATABASE_URL names a server that is not ours to stop")
        yield server


@pytest.fixture
async def database(server: OwnPostgres) -> AsyncIterator[Database]:
    address = urlsplit(server.url)
    road = Proxy(address.hostname or "", address.port or 0)
    async with road.serving():
        yield Database(server, road)


@pytest.mark.parametrize(
    ("seed", "plan"),
    [
        pytest.param(5, FleetPlan(vehicles=3, hours=0.2, seed=5), id="once"),
        *(
            pytest.param(seed, FleetPlan(vehicles=10, hours=1, seed=seed), id=f"soak-{seed}")
            for seed in range(1, _SOAK_ROUNDS + 1)
        ),
    ],
)
async def test_consumer_and_publisher_killed_at_every_point_lose_nothing_and_count_nothing_twice(
    seed: int, plan: FleetPlan, postgres_url: str, kafka: KafkaCluster, tmp_path: Path
) -> None:
    drawn = deaths(seed, rounds=1, moments=1, core=CONSUMER)

    ending = await crash(Design(recorded(tmp_path, plan)), drawn, tmp_path, postgres_url, kafka)

    assert list(objections(ending)) == []


async def test_members_killed_and_added_under_load_share_the_work_and_lose_none_of_it(
    postgres_url: str, kafka: KafkaCluster, day: Recording, tmp_path: Path
) -> None:
    seen = await endured(paced(day), members_come_and_go, tmp_path, postgres_url, kafka)

    assert list(complaints(seen)) == []


async def test_cluster_of_three_loses_each_of_its_brokers_in_turn(
    postgres_url: str, day: Recording, tmp_path: Path
) -> None:
    with running_kafka(tmp_path, choice="installed", brokers=3) as cluster:
        mishap = each_killed(list(cluster.brokers))
        seen = await endured(paced(day), mishap, tmp_path, postgres_url, cluster)

    assert list(complaints(seen)) == []


async def test_only_broker_is_stopped_hangs_and_is_killed(
    postgres_url: str, day: Recording, tmp_path: Path
) -> None:
    with running_kafka(tmp_path, choice="installed") as cluster:
        mishap = only_one_fails(cluster.brokers[0])
        seen = await endured(paced(day), mishap, tmp_path, postgres_url, cluster)

    assert list(complaints(seen)) == []


async def test_restart_of_postgres_in_mid_batch_makes_no_dead_letter(
    database: Database, kafka: KafkaCluster, day: Recording, tmp_path: Path
) -> None:
    mishap = restarted_in_mid_batch(database)

    seen = await endured(paced(day), mishap, tmp_path, database.server.url, kafka, database.road)

    assert list(complaints(seen)) == []


async def test_poison_in_a_batch_of_500_costs_one_dead_letter_each(
    postgres_url: str, kafka: KafkaCluster, day: Recording, tmp_path: Path
) -> None:
    seen = await poisoned(Design(day, speed="60", resend=False), tmp_path, postgres_url, kafka)

    assert [sum(letters.values()) for letters in seen.dead_letters.values()] == [1, 1]
    assert seen.records_a_batch > MANY
    assert list(objections(seen.ending)) == []


async def test_outage_of_postgres_beyond_the_poll_interval_moves_no_partition(
    database: Database, kafka: KafkaCluster, day: Recording, tmp_path: Path
) -> None:
    mishap = away_for(4 * POLL_INTERVAL_SECONDS, database)
    settings = {"CORE_CONSUMER_POLL_INTERVAL_SECONDS": str(POLL_INTERVAL_SECONDS)}

    seen = await endured(
        paced(day, settings), mishap, tmp_path, database.server.url, kafka, database.road
    )

    assert seen.rebalances == 0
    assert list(complaints(seen)) == []


def recorded(directory: Path, plan: FleetPlan) -> Recording:
    path = directory / "day.jsonl"
    record_fleet(plan, path)
    return open_recording(path)


def paced(day: Recording, consumer: dict[str, str] | None = None) -> Design:
    """Replay slowly, for some minutes at most; in small batches, so that mishaps hit some."""
    return Design(
        day,
        speed="15",
        resend=False,
        publisher=IMPATIENT,
        consumer={"CORE_CONSUMER_BATCH_RECORDS": "200", **(consumer or {})},
    )


def complaints(seen: Endured) -> Iterator[str]:
    yield from objections(seen.ending)
    if seen.false_alarms:
        yield f"{seen.false_alarms:,} messages were unaccounted for meanwhile."
