"""The CloudEvents 1.0 HTTP binding (binary, structured and batch mode), and the door's answer."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from pydantic import ValidationError
from pydantic_core import to_json

from ingress_contracts import attributes, json_format
from ingress_contracts.answer import REFUSED, Answer, ItemOutcome, Said
from ingress_contracts.attributes import Complaint
from ingress_contracts.envelope import Envelope

__all__ = [
    "BATCH",
    "REFUSED",
    "STRUCTURED",
    "Answer",
    "ItemOutcome",
    "Malformed",
    "Said",
    "UnreadableBody",
    "UnsupportedMode",
    "decode",
    "decode_answer",
    "encode_answer",
    "encode_batch",
    "encode_binary",
    "encode_structured",
]

BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"

_CONTENT_TYPE = "content-type"
_ATTRIBUTES = {f"ce-{name}": name for name in attributes.NAMES - {"datacontenttype"}}
_NEEDS_NO_PERCENT = "".join(set(map(chr, range(0x21, 0x7F))) - set('"%'))
_QUOTED_PAIR = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Malformed:
    """One item of a request that is no envelope; its neighbours proceed.

    `id` is the item's where it can be read. `reason` is a stable snake_case word:
    `not_an_object`, `unsupported_specversion`, `missing_attribute`, `invalid_attribute`,
    `missing_origin`, `invalid_data` or `too_large`. `detail` says what is wrong and where; it
    does not repeat the input.
    """

    index: int
    id: str | None
    reason: str
    detail: str


class UnsupportedMode(ValueError):
    """The request is in no mode of the CloudEvents HTTP binding that is read here."""


class UnreadableBody(ValueError):
    """The body as a whole is not what its content type says."""


def encode_batch(envelopes: Sequence[Envelope]) -> bytes:
    """Return the body of a batch; its content type is BATCH."""
    return json_format.write_all(envelopes)


def encode_structured(envelope: Envelope) -> bytes:
    """Return the body of a structured-mode message; its content type is STRUCTURED."""
    return json_format.write(envelope)


def encode_binary(envelope: Envelope) -> tuple[dict[str, str], bytes]:
    """Return headers (lower-case names, ASCII values) and body of a binary-mode message.

    Values are percent-encoded by section 3.1.3.2 of the binding. Without a datacontenttype there
    is no content-type header.
    """
    headers = {
        f"ce-{name}": quote(text, safe=_NEEDS_NO_PERCENT)
        for name, text in attributes.texts(envelope)
        if name != "datacontenttype"
    }
    if envelope.datacontenttype is not None:
        headers[_CONTENT_TYPE] = envelope.datacontenttype
    return headers, envelope.data


def decode(headers: Mapping[str, str], body: bytes) -> list[Envelope | Malformed]:
    """Read a request in any mode: one item an event, in order. Header names are in lower case.

    Raises UnsupportedMode if content type and headers are no CloudEvents, UnreadableBody if the
    events in the body cannot be told apart.
    """
    media_type = headers.get(_CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if media_type == BATCH:
        return _decode_batch(body)
    if media_type == STRUCTURED:
        return [_decode_structured(body)]
    if media_type.startswith("application/cloudevents") or "ce-specversion" not in headers:
        raise UnsupportedMode(
            f"send {BATCH}, {STRUCTURED}, or binary mode with a ce-specversion header"
        )
    return [_decode_binary(headers, body)]


def encode_answer(outcomes: Iterable[Said]) -> bytes:
    """Return the answer as JSON; only outcomes that have a detail carry that member."""
    written = []
    for index, (id_, outcome, reason, detail) in enumerate(outcomes):
        members = {"index": index, "id": id_, "outcome": outcome, "reason": reason}
        written.append(members if detail is None else {**members, "detail": detail})
    return to_json({"outcomes": written})


def decode_answer(body: bytes) -> Answer:
    """Read an answer. Raises UnreadableBody if it is none."""
    try:
        return Answer.model_validate_json(body)
    except ValidationError as error:
        raise UnreadableBody("this is not the answer of an ingest door") from error


def _decode_batch(body: bytes) -> list[Envelope | Malformed]:
    # Nearly every batch is as our own publisher writes it. Only in the others is it worth the
    # time to find out which item is the odd one.
    envelopes = json_format.read_all_valid(body)
    if envelopes is not None:
        return [_checked(index, envelope) for index, envelope in enumerate(envelopes)]
    items = _parsed(body)
    if not isinstance(items, list):
        raise UnreadableBody("the body of a batch must be a JSON array of events")
    return [_item(index, item) for index, item in enumerate(items)]


def _decode_structured(body: bytes) -> Envelope | Malformed:
    item = _parsed(body)
    if not isinstance(item, dict):
        raise UnreadableBody("the body of a structured event must be a JSON object")
    return _item(0, item)


def _decode_binary(headers: Mapping[str, str], body: bytes) -> Envelope | Malformed:
    texts: dict[str, str] = {}
    if _CONTENT_TYPE in headers:
        texts["datacontenttype"] = headers[_CONTENT_TYPE]
    for header, value in headers.items():
        name = _ATTRIBUTES.get(header)
        if name is None:
            continue
        try:
            texts[name] = _unescaped(value)
        except UnicodeError:
            detail = f"{header} must be ASCII, with anything else percent-encoded as UTF-8"
            return Malformed(0, None, "invalid_attribute", detail)
    return _named(0, texts.get("id"), attributes.read(texts, body))


def _unescaped(value: str) -> str:
    """Undo quotes and percent-encoding (3.1.3.2). Raises UnicodeError."""
    value.encode("ascii")
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
    return unquote_to_bytes(value).decode()


def _parsed(body: bytes) -> object:
    try:
        return json_format.parse(body)
    except ValueError as error:
        raise UnreadableBody(f"the body is not JSON in UTF-8: {error}") from error


def _checked(index: int, envelope: Envelope) -> Envelope | Malformed:
    """Refuse what the types alone let through."""
    if "specversion" not in envelope.model_fields_set:
        return _named(index, envelope.id, attributes.WITHOUT_SPECVERSION)
    return _named(index, envelope.id, attributes.complaint_about_origin(envelope) or envelope)


def _item(index: int, item: object) -> Envelope | Malformed:
    id_ = item.get("id") if isinstance(item, dict) else None
    return _named(index, id_, json_format.read(item))


def _named(index: int, id_: object, result: Envelope | Complaint) -> Envelope | Malformed:
    """Give a complaint its place in the request."""
    if isinstance(result, Envelope):
        return result
    return Malformed(index, attributes.readable_text(id_), result.reason, result.detail)
