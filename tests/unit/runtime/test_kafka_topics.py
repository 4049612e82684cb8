"""What is said of a topic, without a broker."""

from datetime import timedelta

import pytest
from click.testing import CliRunner

from ingress_runtime.findings import Level
from ingress_runtime.kafka.commands import commands
from ingress_runtime.kafka.topics import FOREVER, Topic, Wish, check, create_command, differences

DAY_MS = 24 * 3_600 * 1_000
GOOD = Topic(
    "t",
    partitions=12,
    replicas=3,
    in_sync=3,
    configuration={
        "cleanup.policy": "delete",
        "max.message.bytes": "1048588",
        "min.insync.replicas": "2",
        "retention.ms": str(7 * DAY_MS),
    },
)


def like(**changed: object) -> Topic:
    given = {name: getattr(GOOD, name) for name in GOOD.__dataclass_fields__} | changed
    return Topic(**given)


def configured(**changed: str) -> Topic:
    names = {name.replace("_", "."): value for name, value in changed.items()}
    return like(configuration={**GOOD.configuration, **names})


def test_a_good_topic_is_ok() -> None:
    assert [finding.level for finding in check(GOOD, brokers=3)] == [Level.OK]


@pytest.mark.parametrize(
    ("topic", "brokers", "level", "said"),
    [
        (like(leaderless=(3, 5)), 3, Level.FAIL, "nobody leads partitions 3, 5"),
        (like(in_sync=1), 3, Level.FAIL, "1 replicas in sync, and needs 2"),
        (configured(cleanup_policy="compact"), 3, Level.FAIL, "compacts"),
        (configured(cleanup_policy="compact,delete"), 3, Level.FAIL, "compacts"),
        (like(replicas=2, in_sync=2), 3, Level.WARN, "on 2 brokers"),
        (configured(min_insync_replicas="1"), 3, Level.WARN, "when one broker has it"),
        (configured(retention_ms=str(DAY_MS // 2)), 3, Level.WARN, "kept for 12:00:00"),
        (configured(max_message_bytes="100000"), 3, Level.WARN, "large messages would be refused"),
    ],
)
def test_what_is_wrong_with_a_topic_is_said_with_what_to_do(
    topic: Topic, brokers: int, level: Level, said: str
) -> None:
    (finding,) = (one for one in check(topic, brokers) if one.level is not Level.OK)
    assert finding.level is level
    assert said in finding.found
    assert finding.remedy


def test_fewer_replicas_are_no_finding_where_there_are_no_more_brokers() -> None:
    topic = like(replicas=1, in_sync=1, configuration={"min.insync.replicas": "1"})
    assert [finding.level for finding in check(topic, brokers=1)] == [Level.OK]


def test_a_topic_of_which_nothing_is_told_is_judged_by_what_is_known() -> None:
    silent = like(configuration={})
    assert (silent.retention, silent.largest_batch, silent.compacted) == (None, None, False)
    assert list(differences(silent, Wish("t", 12, timedelta(days=1), 3))) == []


def test_endless_retention_is_told_apart() -> None:
    assert configured(retention_ms="-1").retention == FOREVER


def test_only_what_was_wished_for_can_differ() -> None:
    assert list(differences(GOOD, Wish("t"))) == []
    assert list(differences(GOOD, Wish("t", 24, timedelta(days=7), 3))) == []
    partitions, replicas, retention = differences(GOOD, Wish("t", 6, timedelta(days=1), 1))
    assert "Kafka takes none away" in partitions
    assert replicas.startswith("3 replicas each")
    assert retention.startswith("records are kept for 7 days")


def test_the_remedy_names_the_command() -> None:
    assert create_command("t") == "INGRESS_KAFKA_TOPIC=t ingress topics create"


@pytest.mark.parametrize("text", ["7", "0d", "7w", "d", "-1d", "999999999d", "1.5h"])
def test_a_duration_that_is_none_is_refused(text: str) -> None:
    result = CliRunner().invoke(commands, ["create", "--retention", text])
    assert result.exit_code == 2
    assert "forever" in result.output


@pytest.mark.parametrize("command", ["create", "check"])
def test_help_has_examples(command: str) -> None:
    result = CliRunner().invoke(commands, [command, "--help"])
    assert f"ingress topics {command}" in result.output
