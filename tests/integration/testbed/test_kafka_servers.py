import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingress_testbed.servers import redpanda
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.errors import NoServerError, ServerFailedError
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka
from ingress_testbed.servers.kafka_probe import known_brokers
from ingress_testbed.servers.settings import TestbedSettings

pytestmark = pytest.mark.anyio

KILLED = """
import os, signal, sys
from pathlib import Path
from ingress_testbed.servers.kafka import running_kafka
with running_kafka(Path(sys.argv[1]), choice=sys.argv[2]) as cluster:
    print(cluster.brokers[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
EVERY_OWN_KIND = ["embedded", pytest.param("installed", marks=pytest.mark.kafka)]


@pytest.fixture
def alone(kafka: KafkaCluster, tmp_path: Path) -> Iterator[KafkaCluster]:
    """A broker like that of the other tests, which a test may hurt."""
    if Capability.OWN_PROCESS not in kafka.capabilities:
        pytest.skip(f"{kafka.description} is not ours to hurt")
    with running_kafka(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def three(tmp_path: Path) -> Iterator[KafkaCluster]:
    with running_kafka(tmp_path, choice="installed", brokers=3) as cluster:
        yield cluster


async def make_topic(cluster: KafkaCluster, name: str) -> None:
    """Make a topic of one partition, with a replica on every broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, 1, len(cluster.brokers))])
        assert [code for _, code, _ in answer.topic_errors] == [0]
    finally:
        await admin.close()


async def produce(cluster: KafkaCluster, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def consume(cluster: KafkaCluster, topic: str, count: int) -> list[bytes]:
    """Return the first `count` values of partition 0."""
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        return [(await consumer.getone()).value for _ in range(count)]


async def test_what_was_produced_is_consumed(kafka: KafkaCluster, topic: str) -> None:
    await produce(kafka, topic, b"one", b"two")
    assert await consume(kafka, topic, 2) == [b"one", b"two"]


async def test_a_hung_broker_answers_nobody_until_it_is_resumed(alone: KafkaCluster) -> None:
    (broker,) = alone.brokers
    broker.hang()
    assert known_brokers(broker.port) == set()
    broker.resume()
    await make_topic(alone, "after")
    await produce(alone, "after", b"awake")
    assert await consume(alone, "after", 1) == [b"awake"]


def test_a_broker_comes_back_on_its_port(alone: KafkaCluster) -> None:
    (broker,) = alone.brokers
    before = psutil.Process(broker.pid)
    broker.kill()
    assert not before.is_running()
    with pytest.raises(ServerFailedError, match=r"does not run\.\nThe end of .*server\.log"):
        _ = broker.pid
    broker.start()
    assert broker.pid != before.pid
    assert known_brokers(broker.port) == {broker.port}
    assert alone.bootstrap == f"127.0.0.1:{broker.port}"


def test_a_broker_that_hangs_can_be_stopped(alone: KafkaCluster) -> None:
    (broker,) = alone.brokers
    process = psutil.Process(broker.pid)
    broker.hang()
    broker.stop()
    assert not process.is_running()


@pytest.mark.parametrize("choice", EVERY_OWN_KIND)
def test_the_broker_ends_when_the_process_that_started_it_is_killed(
    choice: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), choice], stdout=subprocess.PIPE
    ) as killed:
        assert killed.stdout is not None
        broker = psutil.Process(int(killed.stdout.readline()))
    psutil.wait_procs([broker], timeout=30)
    assert not broker.is_running()


@pytest.mark.kafka
async def test_what_was_acknowledged_survives_a_kill(alone: KafkaCluster) -> None:
    (broker,) = alone.brokers
    values = [b"%d" % at for at in range(100)]
    await make_topic(alone, "kept")
    await produce(alone, "kept", *values)
    broker.kill()
    broker.start()
    assert await consume(alone, "kept", 100) == values


@pytest.mark.kafka
async def test_three_brokers_go_on_without_any_one_of_them(three: KafkaCluster) -> None:
    assert Capability.REPLICATION in three.capabilities
    await make_topic(three, "kept")
    values: list[bytes] = []
    for broker in three.brokers:
        values += [b"before %d" % broker.port, b"without %d" % broker.port]
        await produce(three, "kept", values[-2])
        broker.kill()
        await produce(three, "kept", values[-1])
        assert await consume(three, "kept", len(values)) == values
        broker.start()


@pytest.mark.kafka
def test_only_the_logs_are_left_and_only_in_the_runs_directory(tmp_path: Path) -> None:
    with running_kafka(tmp_path, choice="installed") as cluster:
        process = psutil.Process(cluster.brokers[0].pid)
        written = {Path(file.path) for file in process.open_files() if file.mode != "r"}
    assert written
    assert all(path.is_relative_to(tmp_path) for path in written)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"server.log", "server.properties"}


def test_an_address_is_taken_before_anything_is_started(tmp_path: Path) -> None:
    settings = TestbedSettings(kafka_bootstrap="elsewhere:9092")
    with running_kafka(tmp_path, settings=settings) as cluster:
        assert cluster.bootstrap == "elsewhere:9092"
        assert cluster.brokers == ()
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_asked_for_must_be_set(tmp_path: Path) -> None:
    with (
        pytest.raises(NoServerError, match="INGRESS_KAFKA_BOOTSTRAP is not set"),
        running_kafka(tmp_path, choice="address", settings=TestbedSettings()),
    ):
        pass


def test_the_embedded_broker_cannot_be_three(tmp_path: Path) -> None:
    with (
        pytest.raises(NoServerError, match="is a single broker, not 3"),
        running_kafka(tmp_path, choice="embedded", brokers=3, settings=TestbedSettings()),
    ):
        pass


def test_redpanda_without_docker_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(NoServerError, match="needs Docker, and none answers"), redpanda.running():
        pass
