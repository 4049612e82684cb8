import logging
import ssl
from typing import Any

import pytest
from faststream import AckPolicy

from core_consumer import asyncapi
from core_consumer.settings import ConsumerSettings
from core_consumer.subscriber import Voice, make_broker, subscribe
from ingress_contracts import golden

PLAIN: dict[str, Any] = {
    "bootstrap_servers": ["127.0.0.1:9092"],
    "client_id": "telematics-ingress",
    "security_protocol": "PLAINTEXT",
}


async def _take(_records: Any) -> None:
    pass


def test_nobody_but_us_acknowledges_and_nothing_is_skipped() -> None:
    subscriber = subscribe(make_broker(PLAIN, 30, Voice()), "topic", ConsumerSettings(), _take)

    assert subscriber.ack_policy is AckPolicy.MANUAL
    assert subscriber._connection_args["enable_auto_commit"] is False
    assert subscriber._connection_args["auto_offset_reset"] == "earliest"


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("PLAINTEXT", None),
        ("SSL", None),
        ("SASL_PLAINTEXT", "PLAIN"),
        ("SASL_SSL", "PLAIN"),
        ("SASL_SSL", "SCRAM-SHA-256"),
        ("SASL_SSL", "SCRAM-SHA-512"),
    ],
)
def test_the_connection_is_as_secure_as_the_settings_say(
    protocol: str, mechanism: str | None
) -> None:
    given = PLAIN | {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        given["ssl_context"] = ssl.create_default_context()
    if mechanism:
        given |= {
            "sasl_mechanism": mechanism,
            "sasl_plain_username": "core",
            "sasl_plain_password": "secret",
        }

    used = make_broker(given, 30, Voice())._connection_kwargs

    assert {name: used[name] for name in given} == given


def test_failed_polls_are_an_objection_for_a_while() -> None:
    now = 0.0
    voice = Voice(lambda: now)
    voice.log(logging.INFO, "Received")
    assert voice.objection is None
    voice.log(logging.ERROR, "Kafka error occurred", exc_info=KeyError("made up"))
    assert voice.objection == "Kafka error occurred: KeyError('made up')"
    now = 20.0
    assert voice.objection is None


def test_the_document_names_every_header_of_the_golden_record() -> None:
    described = asyncapi.document()
    (message,) = described["components"]["messages"].values()
    headers = {name for name, _ in golden.kafka("v1/kafka-binary").headers}

    assert set(message["headers"]["required"]) <= headers
    assert headers <= set(message["headers"]["properties"])
