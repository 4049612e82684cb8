"""ViriCiti's protocol on the provider's side, as far as the notes on providers know it. Pure.

`GET /api/v2/live?apiKey=KEY` (or the header `x-api-key`) opens the socket. The client subscribes
with `{"vehicles": {vid: [label, …]}}`, the server echoes that and sends
`{"type": "vehicles", "payload": {"vid", "label", "value", "time"}}`. Of our own making: the query
parameter `resend` (or, for a client whose URL takes no query, the path
`/api/v2/live/resend/all`), and the path `/status`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

from ingress_testbed.recordings import Frame

LIVE_PATH = "/api/v2/live"
STATUS_PATH = "/status"
RESEND_PATH = f"{LIVE_PATH}/resend/"
_FINAL, _CONTINUATION, _TEXT, _BINARY, _PING = 0x80, 0x0, 0x1, 0x2, 0x9
_LENGTH_IN_2_BYTES, _LENGTH_IN_8_BYTES = 126, 127

Subscription: TypeAlias = Mapping[str, frozenset[str]]
"""Labels by vehicle."""

Resend: TypeAlias = int | Literal["all"]


class BadRequest(Exception):
    """What a client asked for makes no sense; the message is for the client."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request line and headers, read. `api_key` is None where none was given."""

    path: str
    api_key: str | None
    resend: Resend


def read_request(target: str, api_key_header: str | None) -> Request:
    """Read the request's target. Raises BadRequest for a `resend` that is neither N nor `all`."""
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    api_key = query.get("apiKey", [api_key_header])[-1]
    if parts.path.startswith(RESEND_PATH):
        return Request(LIVE_PATH, api_key, _resend(parts.path.removeprefix(RESEND_PATH)))
    return Request(parts.path, api_key, _resend(query.get("resend", ["0"])[-1]))


def _resend(text: str) -> Resend:
    if text == "all":
        return "all"
    if text.isascii() and text.isdecimal():
        return int(text)
    raise BadRequest(f"resend={text[:40]} must be a number of frames, or all")


def read_subscription(message: str | bytes) -> Subscription:
    """Read a client's message. Raises BadRequest if it is no subscription to vehicles."""
    try:
        vehicles = json.loads(message)["vehicles"]
        return {str(vid): frozenset(map(str, labels)) for vid, labels in vehicles.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BadRequest('subscribe with {"vehicles": {"<vid>": ["<label>", …]}}') from None


def error_message(what: str) -> str:
    """Return the frame that tells a client what is wrong."""
    return json.dumps({"type": "error", "payload": {"message": what}}, ensure_ascii=False)


def message(frame: Frame) -> bytes:
    """Return the message that carries `frame`: what a client reads."""
    return f'{{"type":"vehicles","payload":{frame.payload()}}}'.encode()


def wire(frame: Frame) -> bytes:
    """Return the bytes of `frame` on the socket: an unmasked text frame (RFC 6455, 5.2)."""
    return _framed(_FINAL | _TEXT, message(frame))


def whole(data: bytes) -> bytes:
    """Return the bytes of any message in one frame: text, or binary where it is no UTF-8."""
    return _framed(_FINAL | _opcode(data), data)


def fragments(data: bytes, count: int) -> bytes:
    """Return the bytes of a message in `count` frames, a ping after the first (RFC 6455, 5.4)."""
    size = -(-len(data) // count)
    parts = [data[at * size : (at + 1) * size] for at in range(count)]
    frames = [_framed(_opcode(data), parts[0]), _framed(_FINAL | _PING, b"")]
    frames += [_framed(_CONTINUATION, part) for part in parts[1:-1]]
    return b"".join((*frames, _framed(_FINAL | _CONTINUATION, parts[-1])))


def _opcode(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError:
        return _BINARY
    return _TEXT


def _framed(head: int, data: bytes) -> bytes:
    size = len(data)
    if size < _LENGTH_IN_2_BYTES:
        return bytes((head, size)) + data
    if size < 1 << 16:
        return bytes((head, _LENGTH_IN_2_BYTES)) + size.to_bytes(2, "big") + data
    return bytes((head, _LENGTH_IN_8_BYTES)) + size.to_bytes(8, "big") + data
