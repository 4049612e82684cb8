"""The CloudEvents 1.0 JSON event format: one envelope as one JSON object, and lists of them.

`data_base64` carries the provider's bytes untouched. A reader takes `data` as well (3.1.2): the
JSON value is written out again, or the string encoded, so that its bytes are not the sender's.
"""

import json
import re
from binascii import b2a_base64
from collections.abc import Sequence
from typing import Any, NoReturn

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from ingress_contracts import attributes
from ingress_contracts.attributes import Complaint
from ingress_contracts.envelope import JSON, MAX_DATA_BYTES, Envelope

_ENVELOPES = TypeAdapter(list[Envelope])
_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))
_BASE64_LIMIT = (MAX_DATA_BYTES + 2) // 3 * 4
_TOO_LARGE = Complaint("too_large", f"data must have at most {MAX_DATA_BYTES} bytes")
_JSON_TYPE = re.compile(r"[^/;]+/([^/;]+\+)?json\s*(;.*)?", re.IGNORECASE)


def write(envelope: Envelope) -> bytes:
    """Return the envelope as a JSON object; attributes that are not set are left out."""
    return to_json(_members(envelope))


def write_all(envelopes: Sequence[Envelope]) -> bytes:
    """Return the envelopes as a JSON array."""
    return to_json([_members(envelope) for envelope in envelopes])


def read_all_valid(body: bytes) -> list[Envelope] | None:
    """Read an array in which every item is an envelope with `data_base64`: the fast path.

    Returns None if some item is not, without telling which. What types alone do not show is left
    to the caller: a missing specversion (see `model_fields_set`) and a missing origin.
    """
    if b'"data"' in body:
        return None
    try:
        return _ENVELOPES.validate_json(body, by_alias=True, by_name=False)
    except ValidationError:
        return None


def parse(body: bytes) -> object:
    """Parse JSON; of a member that is there twice, the last counts. Raises ValueError.

    The error says what is wrong and where, and does not repeat the input. By the standard library,
    which lets lone surrogates through, as we let endless numbers: they then spoil their own item
    instead of its neighbours.
    """
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read(item: object) -> Envelope | Complaint:
    """Read one parsed JSON value as an envelope."""
    if not isinstance(item, dict):
        return Complaint("not_an_object", "an event must be a JSON object")
    encoded = item.get("data_base64")
    if "data" not in item:
        data = b"" if encoded is None else _from_base64(encoded)
    elif encoded is None:
        if item.get("datacontenttype") is None:
            item = item | {"datacontenttype": JSON}
        data = _from_value(item["data"], item["datacontenttype"])
    else:
        data = Complaint("invalid_data", "send data or data_base64, not both")
    if isinstance(data, Complaint):
        return data
    return attributes.read(item, data)


def _members(envelope: Envelope) -> dict[str, Any]:
    members = {name: value for name, value in vars(envelope).items() if value is not None}
    members["receivedtime"] = attributes.in_utc(envelope.receivedtime)
    if envelope.time is not None:
        members["time"] = attributes.in_utc(envelope.time)
    if envelope.sequence is not None:
        members["sequence"] = str(envelope.sequence)
    if envelope.leaseepoch is not None:
        members["leaseepoch"] = str(envelope.leaseepoch)
    data = members.pop("data")
    if data:
        members["data_base64"] = b2a_base64(data, newline=False).decode("ascii")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _integer(digits: str) -> int | float:
    """Return a whole number, or infinity, which nothing takes, for one of thousands of digits."""
    try:
        return int(digits)
    except ValueError:  # CPython's guard: reading them takes time that grows with their square
        return float(digits)


def _from_base64(encoded: object) -> bytes | Complaint:
    if not isinstance(encoded, str):
        return Complaint("invalid_data", "data_base64 must be a string")
    if len(encoded) > _BASE64_LIMIT:
        return _TOO_LARGE
    try:
        return _BASE64.validate_strings(encoded)
    except ValidationError:
        return Complaint("invalid_data", "data_base64 must be base64 (RFC 4648, section 4 or 5)")


def _from_value(value: object, content_type: object) -> bytes | Complaint:
    """Return the bytes of the member `data`, by the rules of the JSON format (3.1.2)."""
    try:
        if _JSON_TYPE.fullmatch(str(content_type)):
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode()
        if isinstance(value, str):
            return value.encode()
    except (ValueError, RecursionError):
        return Complaint("invalid_data", "data holds a value that JSON in UTF-8 cannot carry")
    return Complaint("invalid_data", "data must be a string, since datacontenttype is not JSON")
