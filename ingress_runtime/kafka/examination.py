"""Are the brokers there, do they take our credentials, and will the topic do? Nothing is written."""

from collections.abc import Iterator, Sequence

from ingress_runtime.findings import Finding, fail, of_line, ok, warn
from ingress_runtime.kafka import topics
from ingress_runtime.kafka.connection import connected
from ingress_runtime.kafka.errors import KafkaTrouble, NotAllowed
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.kafka.topics import Topic
from ingress_runtime.settings import SettingsError

SUBJECT = "kafka"

_REACH_THEM = (
    "Start the brokers, or correct INGRESS_KAFKA_BOOTSTRAP and INGRESS_KAFKA_SECURITY_PROTOCOL; look "
    "at firewalls and certificates between here and there, and at the brokers' advertised.listeners."
)
_CREDENTIALS = (
    "Correct INGRESS_KAFKA_SASL_MECHANISM, _USERNAME and _PASSWORD, or ask who runs the brokers for "
    "the user and its ACLs: Describe and Write on the topic at the edge, Read on topic and group at "
    "core."
)


async def examine(settings: KafkaSettings, within: float) -> Sequence[Finding]:
    """Return what the brokers and the topic are like, asked for `within` seconds in all."""
    found, _ = await look(settings, within)
    return found


async def look(settings: KafkaSettings, within: float) -> tuple[Sequence[Finding], Topic | None]:
    """Return the same, and the topic, where it could be looked at."""
    found = list(_exposed(settings))
    try:
        async with connected(settings, within) as client:
            brokers = len(client.cluster.brokers())
            topic = await topics.describe(client, settings.topic)
    except SettingsError as error:
        return [of_line("settings", line) for line in error.problems], None
    except NotAllowed as trouble:
        return [*found, fail(SUBJECT, str(trouble), _CREDENTIALS)], None
    except KafkaTrouble as trouble:
        return [*found, fail(SUBJECT, str(trouble), _REACH_THEM)], None
    found.append(
        ok(SUBJECT, f"{settings.servers}: a cluster of {topics.number(brokers, 'broker')}")
    )
    if topic is None:
        command = topics.create_command(settings.topic)
        missing = fail(f"topic {settings.topic}", "it is not there", f"Make it: {command}")
        return [*found, missing], None
    return [*found, *topics.check(topic, brokers)], topic


def _exposed(settings: KafkaSettings) -> Iterator[Finding]:
    if settings.security_protocol == "SASL_PLAINTEXT" and settings.sasl_mechanism == "PLAIN":
        yield warn(
            SUBJECT,
            "the password travels in the clear",
            "Set INGRESS_KAFKA_SECURITY_PROTOCOL=SASL_SSL, or use a SCRAM mechanism.",
        )
