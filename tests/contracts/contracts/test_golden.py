import json
from pathlib import Path

import pytest

import ingress_contracts
from ingress_contracts import golden, http, kafka
from ingress_contracts.content_id import content_id
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import KINDS


def test_http_binary_mode_is_written_and_read_as_ever(
    provider_message_with_everything: Envelope,
) -> None:
    headers, body = golden.http("v1/http-binary")

    written_headers, written_body = http.encode_binary(provider_message_with_everything)

    assert list(written_headers.items()) == list(headers.items())
    assert written_body == body
    assert http.decode(headers, body) == [provider_message_with_everything]


def test_http_structured_mode_is_written_and_read_as_ever(provider_message: Envelope) -> None:
    headers, body = golden.http("v1/http-structured")

    assert headers == {"content-type": http.STRUCTURED}
    assert http.encode_structured(provider_message) == body
    assert http.decode(headers, body) == [provider_message]


def test_http_batch_mode_is_written_and_read_as_ever(
    provider_message_with_everything: Envelope, one_of_each_kind: dict[str, Envelope]
) -> None:
    batch = [provider_message_with_everything, *one_of_each_kind.values()]
    headers, body = golden.http("v1/http-batch")

    assert headers == {"content-type": http.BATCH}
    assert http.encode_batch(batch) == body
    assert http.decode(headers, body) == batch


def test_kafka_binary_mode_is_written_and_read_as_ever(
    provider_message_with_everything: Envelope,
) -> None:
    record = golden.kafka("v1/kafka-binary")

    assert kafka.encode(provider_message_with_everything) == record
    assert (
        kafka.decode(record.headers, record.value, record.key) == provider_message_with_everything
    )


@pytest.mark.parametrize("kind", tuple(KINDS), ids=lambda kind: kind.type)
def test_every_kind_is_written_and_read_as_ever(
    kind: ingress_contracts.Kind, one_of_each_kind: dict[str, Envelope]
) -> None:
    envelope = one_of_each_kind[kind.type]
    headers, body = golden.http(f"v1/kinds/{kind.type}")

    assert http.encode_binary(envelope) == (headers, body)
    assert http.decode(headers, body) == [envelope]
    if kind.body is not None:
        read = kind.body.model_validate_json(body)
        assert json.loads(read.model_dump_json()) == json.loads(body)


def test_the_id_of_a_sample_is_the_digest_of_its_content() -> None:
    headers, body = golden.http("v1/kinds/telematics.provider.message.v1")

    expected = content_id(
        headers["ce-type"], headers["ce-provider"], headers["ce-workspaceid"], body
    )

    assert headers["ce-id"] == str(expected)


def test_there_is_one_sample_for_each_binding_and_kind_and_no_other() -> None:
    root = Path(ingress_contracts.__file__).parent / "golden"

    assert {str(path.relative_to(root)) for path in root.rglob("*.*")} == {
        "v1/http-batch.http",
        "v1/http-binary.http",
        "v1/http-structured.http",
        "v1/kafka-binary.kafka",
        *(f"v1/kinds/{kind.type}.http" for kind in KINDS),
    }
