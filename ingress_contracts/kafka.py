"""The CloudEvents 1.0 Kafka binding, binary mode: `ce_*` headers, the data as the value."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Required
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ingress_contracts import attributes
from ingress_contracts.attributes import Complaint
from ingress_contracts.envelope import Data, Envelope
from ingress_contracts.fields import Instant, Name, Text, TraceParent, WireSequence

_CONTENT_TYPE = "content-type"
_ATTRIBUTES = {f"ce_{name}": name for name in attributes.NAMES - {"datacontenttype"}}
_ATTRIBUTES[_CONTENT_TYPE] = "datacontenttype"
_HEADERS = {name: header for header, name in _ATTRIBUTES.items()}


class _Own(TypedDict, total=False):
    """What differs from record to record of a stream; the other attributes are those of all."""

    id: Required[Text]
    time: Instant
    subject: Text
    receivedtime: Required[Instant]
    partitionkey: Text
    sequence: WireSequence
    traceparent: TraceParent
    data: Required[Data]


_OWN: TypeAdapter[_Own] = TypeAdapter(_Own)
_NOT_SHARED = dict.fromkeys(_Own.__annotations__)
_OWN_HEADERS = {_HEADERS[name]: name for name in _NOT_SHARED if name != "data"}

_MOST_STREAMS = 1_024
_streams: dict[tuple[tuple[str, bytes], ...], Envelope] = {}
"""By the headers that the records of a stream share: an envelope of these alone."""


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
        if name in _NOT_SHARED
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

    What the records of a stream share is validated once and remembered.
    """
    own: dict[str, Any] = {"data": value or b""}
    shared = []
    for pair in headers:
        header, raw = pair
        if raw is None:
            continue
        name = _OWN_HEADERS.get(header)
        if name is not None:
            own[name] = _text(header, raw)
        elif header in _ATTRIBUTES:
            shared.append(pair)
    if key is not None and "partitionkey" not in own:
        _adopt_key(own, key)
    stream = tuple(shared)
    known = _streams.get(stream)
    if known is not None:
        with suppress(ValidationError):
            envelope = known.model_copy(update=_OWN.validate_python(own))
            if not attributes.complaint_about_origin(envelope):
                return envelope
    return _read(own, stream)


def _read(own: dict[str, Any], shared: tuple[tuple[str, bytes], ...]) -> Envelope:
    """Read a record of a stream that is not known, or one that is not valid."""
    texts = {_ATTRIBUTES[header]: _text(header, raw) for header, raw in shared}
    if texts.get("datacontenttype", "").lower().startswith("application/cloudevents"):
        raise MalformedRecord("unsupported_mode", "send binary mode: ce_* headers, data as value")
    result = attributes.read(texts | own, own["data"])
    if isinstance(result, Complaint):
        raise MalformedRecord(result.reason, result.detail)
    if len(texts) == len(shared):  # each header once: valid, and so of bounded length
        if len(_streams) >= _MOST_STREAMS:
            _streams.clear()
        _streams[shared] = result.model_copy(update=_NOT_SHARED)
    return result


def _text(header: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MalformedRecord("invalid_attribute", f"{header} is not UTF-8") from None


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
