"""`ingress consumer` as users start it."""

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ingress_runtime.cli import main
from ingress_testbed.servers.kafka import KafkaCluster

if TYPE_CHECKING:
    from tests.integration.consumer.conftest import Core, Log

pytestmark = pytest.mark.anyio

INGRESS = Path(sys.executable).with_name("ingress")


@pytest.fixture
def environment(kafka: KafkaCluster, topic: str, database_url: str) -> dict[str, str]:
    return {
        "INGRESS_DATABASE_URL": database_url,
        "INGRESS_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "INGRESS_KAFKA_TOPIC": topic,
        "INGRESS_LOG_FORMAT": "json",
        "CORE_CONSUMER_GROUP": topic,
        "CORE_CONSUMER_METRICS_PORT": "0",
        "CORE_CONSUMER_SESSION_SECONDS": "6",
    }


@contextmanager
def running(environment: dict[str, str]) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run a consumer; give it and the port of its probes once it has joined its group."""
    process = subprocess.Popen(
        [INGRESS, "consumer"],
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        port = int(_event(process.stderr, "metrics_served")["port"])
        _event(process.stderr, "consumer_started")
        yield process, port
    finally:
        process.kill()
        process.communicate()


def _event(lines: IO[str], name: str) -> dict[str, str]:
    said = []
    for line in lines:
        said.append(line)
        if line.startswith("{"):
            found: dict[str, str] = json.loads(line)
            if found["event"] == name:
                return found
    raise AssertionError(f"the consumer ended before it logged {name}: {''.join(said)}")


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def test_it_consumes_serves_its_probes_and_ends_when_asked(
    core: "Core", log: "Log", environment: dict[str, str]
) -> None:
    await log.write([log.frame(number) for number in range(60)])
    with running(environment) as (process, port):
        await core.holds(60)
        assert get(port, "/livez") == (200, "ok\n")
        assert get(port, "/readyz") == (200, "ok\n")
        assert "core_consumer_records_total" in get(port, "/metrics")[1]
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "consumer_stopped" in rest
    assert await log.committed() == log.written


def test_a_missing_topic_refuses_the_start_and_says_what_to_type(
    environment: dict[str, str],
) -> None:
    result = CliRunner().invoke(
        main, ["consumer"], env=environment | {"INGRESS_KAFKA_TOPIC": "no.such.topic"}
    )

    assert result.exit_code == 1
    assert "INGRESS_KAFKA_TOPIC=no.such.topic ingress topics create" in result.output


def test_brokers_that_are_not_named_refuse_the_start(environment: dict[str, str]) -> None:
    del environment["INGRESS_KAFKA_BOOTSTRAP"]
    result = CliRunner().invoke(main, ["consumer"], env=environment)

    assert result.exit_code == 2
    assert "INGRESS_KAFKA_BOOTSTRAP is not set" in result.output


def test_a_database_that_is_not_migrated_refuses_the_start(
    environment: dict[str, str], postgres_url: str
) -> None:
    result = CliRunner().invoke(
        main, ["consumer"], env=environment | {"INGRESS_DATABASE_URL": postgres_url}
    )

    assert result.exit_code == 1
    assert "run `ingress migrate`" in result.output


async def test_the_doctor_looks_at_brokers_topic_and_group(
    core: "Core", log: "Log", environment: dict[str, str]
) -> None:
    await log.write([log.frame(number) for number in range(60)])
    with running(environment) as (process, _):
        await core.holds(60)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    doctor = await asyncio.create_subprocess_exec(
        INGRESS, "doctor", env=environment, stdout=asyncio.subprocess.PIPE
    )
    examined = (await doctor.communicate())[0].decode()

    assert re.search(r"ok +kafka: .* a cluster of 1", examined), examined
    assert re.search(r"ok +consumer group: .* has 0 records", examined), examined
