"""The AsyncAPI document of the topic: FastStream's, with what a record is like put in.

FastStream describes what a handler takes. Ours takes records as they are, so their headers (the
envelope's attributes) and their value (the provider's bytes) are added here from the contract.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from faststream.specification import AsyncAPI

from core_consumer.settings import ConsumerSettings
from core_consumer.subscriber import Voice, make_broker, subscribe
from ingress_contracts.envelope import MAX_DATA_BYTES, Envelope
from ingress_contracts.kinds import KINDS
from ingress_runtime.kafka.settings import KafkaSettings

Schema = dict[str, Any]

_CONNECTION = {
    "bootstrap_servers": ["kafka.example.com:9092"],
    "client_id": "telematics-ingress",
    "security_protocol": "PLAINTEXT",
}
_KEPT = ("const", "description", "format", "maxLength", "minLength", "pattern")


def document() -> Schema:
    """Return the description of the topic that the consumer reads."""
    settings = ConsumerSettings()
    topic = KafkaSettings.model_fields["topic"].default
    broker = make_broker(_CONNECTION, settings.metadata_seconds, Voice())
    subscribe(broker, topic, settings, _take)
    specification = AsyncAPI(
        broker,
        title="telematics-ingress",
        version=version("telematics-ingress"),
        description="Envelopes on their way to core: CloudEvents 1.0, Kafka binding, binary mode. "
        "See docs/contract.md.",
    ).to_specification()
    described: Schema = json.loads(specification.to_json())
    (message,) = described["components"]["messages"].values()
    del message["correlationId"]
    (payload,) = described["components"]["schemas"].values()
    message |= {"contentType": "application/octet-stream", "headers": _headers()}
    payload |= {
        "type": "string",
        "format": "binary",
        "maxLength": MAX_DATA_BYTES,
        "description": "The data: the provider's bytes, untouched, or the JSON of a kind of ours.",
    }
    described["servers"]["development"]["description"] = (
        "Brokers are named by INGRESS_KAFKA_BOOTSTRAP."
    )
    return described


async def _take(_records: Sequence[Any]) -> None:
    """Stand in for the pipeline: the description needs none."""


def _headers() -> Schema:
    schema = Envelope.model_json_schema(by_alias=False, mode="validation")
    properties = {
        _header(name): _text(property_)
        for name, property_ in schema["properties"].items()
        if name != "data"
    }
    properties["ce_type"]["examples"] = [kind.type for kind in KINDS]
    required = ["specversion", *(name for name in schema["required"] if name != "data")]
    return {
        "type": "object",
        "description": "The envelope's attributes, each as UTF-8 text; others are ignored.",
        "properties": properties,
        "required": [_header(name) for name in required],
    }


def _header(attribute: str) -> str:
    return "content-type" if attribute == "datacontenttype" else f"ce_{attribute}"


def _text(property_: Mapping[str, Any]) -> Schema:
    """Return what is said of a text, where a property may be that or something else."""
    found = next((_text(one) for one in property_.get("anyOf", ())), dict[str, Any]())
    found |= {name: property_[name] for name in _KEPT if name in property_}
    return {"type": "string", **found}


def render() -> str:
    """Return the text of the document's file."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
