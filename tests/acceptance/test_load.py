"""`ingress load` as users start it, against a real core: what it reports is what core has."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core_api.keys import Role
from ingress_testbed.load.accounts import OUTCOMES
from ingress_testbed.servers.kafka import KafkaCluster
from tests.acceptance.processes import PATIENCE, Core, Process

pytestmark = pytest.mark.trials

INGRESS = Path(sys.executable).with_name("ingress")
LOAD = [str(INGRESS), "load", "--json"]
PUBLISHER = ["--publisher", "edge-1"]


def environ(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **variables}


def loaded(variables: dict[str, str], *arguments: str) -> Any:
    """Run a load to its end and return its report."""
    done = subprocess.run(
        [*LOAD, *arguments],
        env=environ(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def assert_exact(step: Any) -> None:
    """Check that core has each message of a step once."""
    account = step["accounting"]
    assert step["exact"] is True
    assert account["received"] == step["sent"] == step["acknowledged"] == step["intended"]
    assert sum(account[name] for name in OUTCOMES) == account["received"]
    assert account["unaccounted"] == account["in_flight"] == account["dropped"] == 0


@pytest.fixture
def http(core: Core, workspace: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and variables of a load over HTTP that may read the accounting."""
    arguments = ["--target", core.api, "--api-key-env", "LOAD_KEY", "--read-key-env", "READ_KEY"]
    keys = {
        "LOAD_KEY": core.key(Role.INGEST, workspace),
        "READ_KEY": core.key(Role.READ, workspace),
    }
    return [*arguments, "--workspace", workspace, *PUBLISHER], keys


def test_load_over_http_is_in_core_once_and_accounted_for(
    core: Core, workspace: str, http: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    arguments, keys = http
    plot = tmp_path / "load.svg"

    report = loaded(
        keys,
        *arguments, "--vehicles", "10,20", "--interval", "0.1", "--duration", "1",
        "--max-p99", "60", "--plot", str(plot),
    )  # fmt: skip

    assert [step["sent"] for step in report["steps"]] == [100, 200]
    assert report["transport"] == "http"
    for step in report["steps"]:
        assert_exact(step)
        assert sum(step["outcomes"].values()) == step["sent"]
        assert step["closing_checkpoint"] is True
    served = core.read(workspace, "accounting")
    assert (served["received"], served["unaccounted"], served["in_flight"]) == (300, 0, 0)
    assert len(core.read(workspace, "vehicles")["vehicles"]) == 20
    assert "</svg>" in plot.read_text()


def test_load_over_kafka_is_in_core_once_and_accounted_for(
    core: Core, own_database_url: str, kafka: KafkaCluster, topic: str, workspace: str
) -> None:
    queue = {"INGRESS_KAFKA_TOPIC": topic}
    consumer = {
        **queue,
        "INGRESS_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "INGRESS_DATABASE_URL": own_database_url,
        "CORE_CONSUMER_GROUP": topic,
        "CORE_CONSUMER_METRICS_PORT": "0",
        "CORE_CONSUMER_SESSION_SECONDS": "6",
    }
    with Process(consumer, "consumer") as process:
        process.event("consumer_started")
        report = loaded(
            {"CORE_DATABASE": own_database_url, **queue},
            "--kafka", kafka.bootstrap, "--vehicles", "20", "--interval", "0.1", "--duration", "1",
            "--workspace", workspace, *PUBLISHER, "--database-url-env", "CORE_DATABASE",
            "--max-p99", "60", "--patience", "100",
        )  # fmt: skip
        assert process.end() == 0

    (step,) = report["steps"]
    assert step["sent"] == 200
    assert_exact(step)
    assert step["settled_after_seconds"] is not None
    served = core.read(workspace, "accounting")
    assert (served["received"], served["unaccounted"], served["in_flight"]) == (200, 0, 0)


@pytest.fixture
def endless(http: tuple[list[str], dict[str, str]]) -> Iterator["subprocess.Popen[str]"]:
    arguments, keys = http
    process = subprocess.Popen(
        [*LOAD, *arguments, "--vehicles", "20", "--interval", "0.1", "--duration", "3600"],
        env=environ(**keys),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_ends_a_load_early_with_a_report_that_is_exact(
    endless: "subprocess.Popen[str]",
) -> None:
    assert endless.stderr is not None
    assert "messages" in endless.stderr.readline()

    endless.send_signal(signal.SIGINT)
    stdout, stderr = endless.communicate(timeout=PATIENCE)

    assert endless.returncode == 130, stderr
    report = json.loads(stdout.splitlines()[-1])
    assert report["interrupted"] is True
    (step,) = report["steps"]
    assert step["exact"] is True
    assert 0 < step["acknowledged"] == step["sent"] <= step["intended"]
    assert "Interrupted" in stderr


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--workspace", "elsewhere", "Say whose it is with --workspace and --publisher"),
        ("--publisher", "edge-2", "Say whose it is with --workspace and --publisher"),
        ("--api-key-env", "READ_KEY", "ingress keys create --role ingest"),
        ("--read-key-env", "LOAD_KEY", "ingress keys create --role read"),
        ("--target", "http://127.0.0.1:9", "Start core there"),
    ],
)
def test_load_that_cannot_be_sent_says_what_to_do(
    http: tuple[list[str], dict[str, str]], option: str, value: str, says: str
) -> None:
    arguments, keys = http
    done = subprocess.run(
        [*LOAD, *arguments, option, value],
        env=environ(**keys),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 1
    assert says in " ".join(done.stderr.split())
    assert not done.stdout
    assert not any(key in done.stderr for key in keys.values())


def test_load_over_kafka_without_its_topic_says_how_to_make_it(kafka: KafkaCluster) -> None:
    done = subprocess.run(
        [*LOAD, "--kafka", kafka.bootstrap],
        env=environ(INGRESS_KAFKA_TOPIC="not-there"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 1
    assert "INGRESS_KAFKA_TOPIC=not-there ingress topics create" in done.stderr
