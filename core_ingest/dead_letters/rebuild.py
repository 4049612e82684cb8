"""From what is kept of a dead letter back to the message that it was. Pure."""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from core_ingest.door import Door
from core_ingest.item import WHOLE, origin
from core_ingest.unreadable import Unreadable
from ingress_contracts import kafka
from ingress_contracts.envelope import Envelope
from ingress_contracts.kafka import MalformedRecord

_REPORTS = "telematics.publisher.undeliverable."


def rebuild(attributes: str, data: bytes) -> Envelope | Unreadable:
    """Return the message of which `attributes` (JSON) and `data` were kept, as it is read today."""
    kept: Mapping[str, Any] = json.loads(attributes)
    if "headers" in kept:
        return _record(kept, data)
    try:
        return Envelope.model_validate({**kept, "data": data}, by_alias=False, by_name=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        workspace = kept.get("workspaceid")
        return Unreadable("invalid_attribute", detail, data, None, (), workspaceid=workspace)


def without_data(kept: str, indexes: list[int], message: Envelope | Unreadable) -> bool:
    """Tell whether a letter is only the report of a message that no way took: its data never came.

    Such a report has a number of its own; the letter is `kept` under the one that it reports on.
    """
    return (
        isinstance(message, Envelope)
        and indexes == [WHOLE]
        and message.type.startswith(_REPORTS)
        and not message.data
        and kept != _own(message)
    )


def route(kept: str, door: str, message: Envelope | Unreadable) -> str:
    """Return the way by which a message that is `kept` under an origin came first."""
    numbered = isinstance(message, Envelope) and kept == _own(message)
    return door if numbered or door != Door.KAFKA else f"{door}/{kept.rpartition('/')[0]}"


def _own(message: Envelope) -> str:
    return origin(message.publisherid, message.publisherepoch, message.sequence)


def _record(kept: Mapping[str, Any], data: bytes) -> Envelope | Unreadable:
    headers = [(name, _bytes(value)) for name, value in kept["headers"]]
    key = _bytes(kept.get("key"))
    try:
        return kafka.decode(headers, data, key)
    except MalformedRecord as error:
        claim = asdict(kafka.claim(headers))
        return Unreadable(error.reason, error.detail, data, key, headers, **claim)


def _bytes(value: str | Mapping[str, str] | None) -> bytes | None:
    if value is None or isinstance(value, str):
        return None if value is None else value.encode()
    return b64decode(value["base64"])
