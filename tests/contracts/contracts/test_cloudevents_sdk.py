"""The official SDK reads what we write, and we read what it writes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import http as sdk_http
from cloudevents.core.bindings import kafka as sdk_kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from ingress_contracts import http, kafka
from ingress_contracts.attributes import texts
from ingress_contracts.envelope import Envelope

FRAME = {"type": "vehicles", "payload": {"vid": "arcc_004", "label": "soc", "value": 57.5}}


@pytest.fixture
def envelope(provider_message_with_everything: Envelope) -> Envelope:
    """Bytes that are neither JSON nor text must pass untouched."""
    return provider_message_with_everything.model_copy(
        update={"datacontenttype": "application/octet-stream", "data": b'\x00\xff {"a"\n'}
    )


@pytest.fixture
def event(envelope: Envelope) -> CloudEvent:
    return CloudEvent(attributes_of(envelope), envelope.data)


def attributes_of(envelope: Envelope) -> dict[str, Any]:
    """The attributes as the SDK holds them: texts, but for `time`."""
    return dict(texts(envelope)) | {"time": envelope.time}


def assert_same(event: BaseCloudEvent, envelope: Envelope) -> None:
    assert event.get_attributes() == attributes_of(envelope)
    assert event.get_data() == envelope.data


def test_sdk_reads_our_http_binary_mode(envelope: Envelope) -> None:
    headers, body = http.encode_binary(envelope)

    event = sdk_http.from_http_event(sdk_http.HTTPMessage(headers, body))

    assert_same(event, envelope)


def test_sdk_reads_our_http_structured_mode(envelope: Envelope) -> None:
    message = sdk_http.HTTPMessage(
        {"content-type": http.STRUCTURED}, http.encode_structured(envelope)
    )

    assert_same(sdk_http.from_http_event(message), envelope)


def test_sdk_reads_every_event_of_our_batch(envelope: Envelope, provider_message: Envelope) -> None:
    batch = json.loads(http.encode_batch([envelope, provider_message]))

    events = [JSONFormat().read(None, json.dumps(item)) for item in batch]

    for event, sent in zip(events, [envelope, provider_message], strict=True):
        assert_same(event, sent)


def test_sdk_reads_our_kafka_binary_mode(envelope: Envelope) -> None:
    record = kafka.encode(envelope)
    message = sdk_kafka.KafkaMessage(dict(record.headers), record.key, record.value)

    assert_same(sdk_kafka.from_kafka_event(message), envelope)


def test_we_read_the_sdks_http_binary_mode(event: CloudEvent, envelope: Envelope) -> None:
    message = sdk_http.to_binary_event(event)

    assert http.decode(message.headers, message.body) == [envelope]


def test_we_read_the_sdks_http_structured_mode(event: CloudEvent, envelope: Envelope) -> None:
    message = sdk_http.to_structured_event(event)

    assert http.decode(message.headers, message.body) == [envelope]


def test_we_read_a_batch_of_the_sdks_events(event: CloudEvent, envelope: Envelope) -> None:
    written = JSONFormat().write(event)
    body = b"[" + b",".join([written, written]) + b"]"

    assert http.decode({"content-type": http.BATCH}, body) == [envelope, envelope]


def test_we_read_the_sdks_kafka_binary_mode(event: CloudEvent, envelope: Envelope) -> None:
    message = sdk_kafka.to_binary_event(event)
    key = message.key.encode() if isinstance(message.key, str) else message.key

    assert kafka.decode(list(message.headers.items()), message.value, key) == envelope


@pytest.mark.parametrize("content_type", ["application/json", None])
def test_we_read_json_data_that_the_sdk_writes_as_a_value(
    envelope: Envelope, content_type: str | None
) -> None:
    attributes = attributes_of(envelope) | {"datacontenttype": content_type}
    event = CloudEvent(
        {name: value for name, value in attributes.items() if value is not None}, FRAME
    )
    message = sdk_http.to_structured_event(event)

    (decoded,) = http.decode(message.headers, message.body)

    assert isinstance(decoded, Envelope)
    assert json.loads(decoded.data) == FRAME
    assert decoded.datacontenttype == "application/json"


def test_we_read_text_that_the_sdk_writes_as_a_string(envelope: Envelope) -> None:
    event = CloudEvent(attributes_of(envelope) | {"datacontenttype": "text/plain"}, "Süd")
    message = sdk_http.to_structured_event(event)

    (decoded,) = http.decode(message.headers, message.body)

    assert isinstance(decoded, Envelope)
    assert decoded.data.decode() == "Süd"


def test_instants_of_another_zone_mean_the_same_to_both(envelope: Envelope) -> None:
    message = sdk_http.to_binary_event(
        CloudEvent(
            attributes_of(envelope)
            | {"time": datetime.fromisoformat("2026-01-01T13:30:00.250000+01:30")}
        )
    )

    (decoded,) = http.decode(message.headers, message.body)

    assert isinstance(decoded, Envelope)
    assert decoded.time == datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)
