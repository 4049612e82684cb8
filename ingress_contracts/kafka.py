"""The CloudEvents 1.0 Kafka binding, binary mode: `ce_*` headers, the data as the value."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from ingress_contracts import attributes
from ingress_contracts.attributes import Complaint
from ingress_contracts.envelope import Envelope, of_valid
from ingress_contracts.fields import Instant, Name, WireSequence
from ingress_contracts.kafka_layout import ATTRIBUTES, OWN, Layout, Raws, layout_of

_HEADERS = {name: header for header, name in ATTRIBUTES.items()}
_EXAMPLE = (("ce_id", b"-"), ("ce_receivedtime", b"2000-01-01T00:00:00Z"), ("ce_sequence", b"0"))

_Fields: TypeAlias = tuple[tuple[str, bytes | None], ...]


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
        if name in OWN
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
    fields, data = tuple(headers), value or b""
    return _usual(fields, data, key) or _any(fields, data, key)


def _usual(fields: _Fields, data: bytes, key: bytes | None) -> Envelope | None:
    """Read a record that is like others of its stream: nearly every one.

    Returns None where something about it is unusual, without telling what.
    """
    if not fields:
        return None
    headers, raws = zip(*fields, strict=True)
    layout = layout_of(headers)
    if layout is None:
        return None
    try:
        values = _shared(layout, layout.shared(raws)).copy()
        own = [raw.decode() for raw in layout.own(raws)]
        values.update(zip(layout.own_names, layout.read((*own, data)), strict=True))
    except (ValueError, AttributeError):
        return None
    if values["publisherepoch"] is None:
        return None
    if (
        key is not None
        and values["partitionkey"] is None
        and key != (values["subject"] or "").encode()
    ):
        return None
    return of_valid(values)


@lru_cache(1_024)
def _shared(layout: Layout, raws: Raws) -> dict[str, Any]:
    """Return the fields of an envelope, those of its own unset. Raises MalformedRecord."""
    envelope = _any((*zip(layout.shared_names, raws, strict=True), *_EXAMPLE), b"", None)
    return vars(envelope) | dict.fromkeys(OWN)


def _any(fields: _Fields, data: bytes, key: bytes | None) -> Envelope:
    texts: dict[str, str] = {}
    for header, raw in fields:
        name = ATTRIBUTES.get(header)
        if name is None or raw is None:
            continue
        try:
            texts[name] = raw.decode()
        except UnicodeDecodeError:
            raise MalformedRecord("invalid_attribute", f"{header} is not UTF-8") from None
    if texts.get("datacontenttype", "").lower().startswith("application/cloudevents"):
        raise MalformedRecord("unsupported_mode", "send binary mode: ce_* headers, data as value")
    if key is not None and "partitionkey" not in texts and key != texts.get("subject", "").encode():
        _adopt_key(texts, key)
    result = attributes.read(texts, data)
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
        name = ATTRIBUTES.get(header, "")
        if raw is None or name not in _CLAIMED:
            continue
        try:
            found[name] = _CLAIMED[name].validate_python(raw.decode())
        except (UnicodeDecodeError, ValidationError):
            found.pop(name, None)
    return Claim(**found)


def _adopt_key(texts: dict[str, str], key: bytes) -> None:
    text = attributes.readable_text(key)
    if text is not None:
        texts["partitionkey"] = text
