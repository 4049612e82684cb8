"""The CloudEvents 1.0 Kafka binding, binary mode: `ce_*` headers, the data as the value."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from ingress_contracts import attributes
from ingress_contracts.attributes import Complaint
from ingress_contracts.envelope import Envelope
from ingress_contracts.fields import Instant, Name, WireSequence

_CONTENT_TYPE = "content-type"
_ATTRIBUTES = {f"ce_{name}": name for name in attributes.NAMES - {"datacontenttype"}}
_ATTRIBUTES[_CONTENT_TYPE] = "datacontenttype"
_HEADERS = {name: header for header, name in _ATTRIBUTES.items()}

_OWN = frozenset(
    {"id", "time", "subject", "receivedtime", "partitionkey", "sequence", "traceparent"}
)
"""In these the records of a stream differ; the other attributes are encoded once for all of them."""


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """What a producer sends: the key picks the partition, the value is the data, untouched."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class MalformedRecord(ValueError):
    """A record that is no envelope. `reason` is a stable snake_case word, `detail` for people.

    Reasons are those of `ingress_contracts.http.Malformed`, and `unsupported_mode`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def encode(envelope: Envelope) -> KafkaRecord:
    """Return the envelope as a record; its key is the partition key, or else the subject."""
    key = envelope.partitionkey or envelope.subject
    headers = [
        (_HEADERS[name], attributes.text(value).encode())
        if name in _OWN
        else _shared_header(name, value)
        for name, value in vars(envelope).items()
        if value is not None and name != "data"
    ]
    return KafkaRecord(None if key is None else key.encode(), envelope.data, headers)


@lru_cache(4_096)
def _shared_header(name: str, value: object) -> tuple[str, bytes]:
    return _HEADERS[name], attributes.text(value).encode()


def decode(
    headers: Iterable[tuple[str, bytes | None]], value: bytes | None, key: bytes | None = None
) -> Envelope:
    """Read a record. Raises MalformedRecord.

    Headers that no attribute is named after are left alone. Where `ce_partitionkey` is missing,
    a key other than the subject stands in for it, if it is text.
    """
    texts: dict[str, str] = {}
    for header, raw in headers:
        name = _ATTRIBUTES.get(header)
        if name is None or raw is None:
            continue
        try:
            texts[name] = raw.decode()
        except UnicodeDecodeError:
            raise MalformedRecord("invalid_attribute", f"{header} is not UTF-8") from None
    if texts.get("datacontenttype", "").lower().startswith("application/cloudevents"):
        raise MalformedRecord("unsupported_mode", "send binary mode: ce_* headers, data as value")
    if key is not None and "partitionkey" not in texts:
        _adopt_key(texts, key)
    result = attributes.read(texts, value or b"")
    if isinstance(result, Complaint):
        raise MalformedRecord(result.reason, result.detail)
    return result


@dataclass(frozen=True, slots=True)
class Claim:
    """What a record that is no envelope says of its origin: each part that is valid, by its name."""

    workspaceid: str | None = None
    publisherid: str | None = None
    publisherepoch: UUID | None = None
    sequence: int | None = None
    receivedtime: datetime | None = None


_CLAIMED: dict[str, TypeAdapter[Any]] = {
    "workspaceid": TypeAdapter(Name),
    "publisherid": TypeAdapter(Name),
    "publisherepoch": TypeAdapter(UUID),
    "sequence": TypeAdapter(WireSequence),
    "receivedtime": TypeAdapter(Instant),
}


def claim(headers: Iterable[tuple[str, bytes | None]]) -> Claim:
    """Read of a record that `decode` does not take what is legible of its origin. Never raises."""
    found: dict[str, Any] = {}
    for header, raw in headers:
        name = _ATTRIBUTES.get(header, "")
        if raw is None or name not in _CLAIMED:
            continue
        try:
            found[name] = _CLAIMED[name].validate_python(raw.decode())
        except (UnicodeDecodeError, ValidationError):
            found.pop(name, None)
    return Claim(**found)


def _adopt_key(texts: dict[str, str], key: bytes) -> None:
    text = attributes.readable_text(key)
    if text is not None and text != texts.get("subject"):
        texts["partitionkey"] = text
