"""Options for aiokafka's clients, and what its errors mean."""

import ssl
from pathlib import Path

import pytest
from aiokafka import errors as library

from ingress_runtime.kafka.connection import options
from ingress_runtime.kafka.errors import (
    BrokersSilent,
    BrokersUnreachable,
    KafkaTrouble,
    NotAllowed,
    NotWritable,
    RecordsRejected,
    RecordsTooLarge,
    TopicMissing,
    translated,
)
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.settings import SettingsError, load

BROKERS = "kafka-1:9092,[::1]:9093"


def read(**variables: str) -> KafkaSettings:
    environ = {f"INGRESS_KAFKA_{name}": value for name, value in variables.items()}
    (settings,) = load(KafkaSettings, environ={"INGRESS_KAFKA_BOOTSTRAP": BROKERS, **environ})
    return settings


def refusal(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(**variables)
    return caught.value.message


def test_brokers_alone_are_enough_for_a_plain_connection() -> None:
    found = options(read())
    assert found.pop("client_id")
    assert found == {
        "bootstrap_servers": ["kafka-1:9092", "[::1]:9093"],
        "security_protocol": "PLAINTEXT",
    }


def test_without_brokers_it_is_said_what_to_set() -> None:
    with pytest.raises(
        SettingsError, match=r"INGRESS_KAFKA_BOOTSTRAP is not set\. Set it: Brokers"
    ):
        options(KafkaSettings())


def test_tls_checks_the_brokers_certificate_and_name() -> None:
    context = options(read(SECURITY_PROTOCOL="SSL"))["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_sasl_gives_user_and_password_by_the_stronger_mechanism() -> None:
    word = "for tests only"
    given = {"SASL_USERNAME": "edge", "SASL_PASSWORD": word}
    found = options(read(SECURITY_PROTOCOL="SASL_SSL", **given))
    assert found["sasl_mechanism"] == "SCRAM-SHA-512"
    assert found["sasl_plain_username"] == "edge"
    assert found["sasl_plain_password"] == word
    assert "ssl_context" in found


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"SASL_USERNAME": "edge"}, "asks for no user"),
        ({"SASL_PASSWORD": "swordfish-1"}, "asks for no user"),
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "set both"),
        ({"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_USERNAME": "edge"}, "set both"),
        ({"CA_FILE": "ca.pem"}, "which uses no certificates"),
        ({"SECURITY_PROTOCOL": "SSL", "CERTIFICATE_FILE": "c.pem"}, "go together"),
        ({"SECURITY_PROTOCOL": "SSL", "KEY_FILE": "k.pem"}, "go together"),
    ],
)
def test_what_would_not_be_used_is_refused(variables: dict[str, str], said: str) -> None:
    message = refusal(**variables)
    assert said in message
    assert "swordfish" not in message


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    settings = read(SECURITY_PROTOCOL="SSL", CA_FILE=str(path))
    with pytest.raises(SettingsError, match=r"INGRESS_KAFKA_CA_FILE=.*ca.pem.*PEM file"):
        options(settings)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (library.TopicAuthorizationFailedError("t"), NotAllowed),
        (library.ClusterAuthorizationFailedError(), NotAllowed),
        (library.SaslAuthenticationFailed("wrong password"), NotAllowed),
        (library.UnsupportedSaslMechanismError("PLAIN"), NotAllowed),
        (library.UnknownTopicOrPartitionError("t"), TopicMissing),
        (library.MessageSizeTooLargeError(), RecordsTooLarge),
        (library.RecordListTooLargeError(), RecordsTooLarge),
        (library.InvalidTimestampError(), RecordsRejected),
        (library.KafkaConnectionError("gone"), BrokersUnreachable),
        (library.NodeNotReadyError("node 1"), BrokersUnreachable),
        (ConnectionResetError(), BrokersUnreachable),
        (ssl.SSLError("certificate verify failed"), BrokersUnreachable),
        (library.RequestTimedOutError(), BrokersSilent),
        (library.KafkaTimeoutError(), BrokersSilent),
        (TimeoutError(), BrokersSilent),
        (library.NotEnoughReplicasError(), NotWritable),
        (library.NotEnoughReplicasAfterAppendError(), NotWritable),
        (library.NotLeaderForPartitionError(), NotWritable),
        (library.OutOfOrderSequenceNumber(), NotWritable),
        (library.ProducerFenced(), NotWritable),
        (NotAllowed("ours already"), NotAllowed),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_each_error_has_a_meaning(error: BaseException, meaning: type[KafkaTrouble]) -> None:
    found = translated(error)
    assert type(found) is meaning
    assert str(error) in str(found)
