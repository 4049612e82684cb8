"""The CloudEvents 1.0 Kafka binding, binary mode: `ce_*` headers, the data as the value."""

from collections.abc import Iterable
from dataclasses import dataclass

from ingress_contracts import attributes
from ingress_contracts.attributes import Complaint
from ingress_contracts.envelope import Envelope

_CONTENT_TYPE = "content-type"
_ATTRIBUTES = {f"ce_{name}": name for name in attributes.NAMES - {"datacontenttype"}}
_ATTRIBUTES[_CONTENT_TYPE] = "datacontenttype"
_HEADERS = {name: header for header, name in _ATTRIBUTES.items()}


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
    return KafkaRecord(
        key=None if key is None else key.encode(),
        value=envelope.data,
        headers=[(_HEADERS[name], text.encode()) for name, text in attributes.texts(envelope)],
    )


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


def _adopt_key(texts: dict[str, str], key: bytes) -> None:
    text = attributes.readable_text(key)
    if text is not None and text != texts.get("subject"):
        texts["partitionkey"] = text
