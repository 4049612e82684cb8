"""`ingress topics` against a real broker."""

import json
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from ingress_runtime.cli import main
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster

pytestmark = pytest.mark.capability(Capability.REPORTS_MISSING_TOPICS, Capability.ADDS_PARTITIONS)


@pytest.fixture
def name() -> str:
    return f"test-{uuid4().hex}"


def topics(kafka: KafkaCluster, name: str, *arguments: str) -> Result:
    environ = {"INGRESS_KAFKA_BOOTSTRAP": kafka.bootstrap, "INGRESS_KAFKA_TOPIC": name}
    return CliRunner().invoke(main, ["topics", *arguments], env=environ)


def test_a_topic_is_made_checked_and_made_again_without_harm(
    kafka: KafkaCluster, name: str
) -> None:
    missing = topics(kafka, name, "check")
    assert missing.exit_code == 1
    assert f"INGRESS_KAFKA_TOPIC={name} ingress topics create" in missing.output
    for _ in range(2):
        made = topics(kafka, name, "create", "--partitions", "4", "--retention", "36h")
        assert made.exit_code == 0, made.output
        assert "4 partitions, 1 replica each" in made.output
    checked = topics(kafka, name, "check", "--json")
    assert checked.exit_code == 0
    (found,) = (one for one in json.loads(checked.output)["findings"] if name in one["subject"])
    assert found["found"] == "4 partitions, 1 replica each, kept for 1 day, 12:00:00"


def test_partitions_are_added_and_what_cannot_be_changed_is_said(
    kafka: KafkaCluster, name: str
) -> None:
    topics(kafka, name, "create", "--partitions", "2")
    more = topics(kafka, name, "create", "--partitions", "3")
    assert (more.exit_code, "3 partitions" in more.output) == (0, True)
    fewer = topics(kafka, name, "create", "--partitions", "2", "--retention", "1h")
    assert fewer.exit_code == 1
    assert "Kafka takes none away" in fewer.output
    assert "records are kept for 7 days" in fewer.output
    assert topics(kafka, name, "create").exit_code == 0


def test_more_replicas_than_brokers_are_refused_with_the_brokers_reason(
    kafka: KafkaCluster, name: str
) -> None:
    refused = topics(kafka, name, "create", "--replication", "99")
    assert refused.exit_code == 1
    assert "replication factor" in refused.output.lower()
    assert topics(kafka, name, "check").exit_code == 1
