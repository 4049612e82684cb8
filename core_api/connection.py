"""One connection of a client: uvicorn's protocol, with a bound on everything before the body.

What a stranger can send without a key is a head, and time. So a head has a size, a number of
fields and a deadline; connections have a number; and what follows an answer, such as a body that
nobody waits for any more, has a deadline too. Framing that two parsers could read in two ways, by
which requests are smuggled past a proxy, is refused (RFC 9112, 11.2): mostly by llhttp, which is
strict unless asked not to be, and by `_objection` where it is not.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import Any, cast

import httptools
from prometheus_client import Counter, Gauge
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from core_api.problems import (
    HEAD_TIMEOUT,
    HEAD_TOO_LARGE,
    MALFORMED_REQUEST,
    OVERLOADED,
    Problem,
    retry_after,
)

REFUSED = Counter(
    "core_api_refused_connections_total",
    "Connections cut off, by reason: malformed, head_too_large, head_late, body_late, full.",
    ("reason",),
)
CONNECTIONS = Gauge("core_api_connections", "Open connections.")
CONNECTIONS_LIMIT = Gauge("core_api_connections_limit", "Most connections; beyond it, 503.")

_MOST_FIELDS = 100
_LINGER_SECONDS = 5.0
_SINGLE = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"transfer-encoding",
        b"x-api-key",
    )
)
"""Fields of which two could be read as the one or as the other, by a proxy and by us."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a head may have, in bytes and in seconds, and how many connections there may be."""

    head_bytes: int
    head_seconds: float
    connections: int


class _Reading(Enum):
    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class Connection(HttpToolsProtocol):
    """A connection that is refused or cut off at `limits`, with a problem document if it can be."""

    limits: Limits

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._reading = _Reading.NOTHING
        self._head_fed = 0
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own narrowing
        """Take the connection, or answer that there are too many."""
        super().connection_made(transport)
        CONNECTIONS.inc()
        if len(self.connections) > self.limits.connections:
            self._refuse("full", _full(self.limits.connections))
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        CONNECTIONS.dec()
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is no HTTP ends the connection."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        before = self._reading
        if before is _Reading.NOTHING:
            self._expect_head()
        try:
            self.parser.feed_data(data)
            if before is self._reading is _Reading.HEAD:  # a field, perhaps, without an end
                self._head_fed += len(data)
                self._check(self._head_fed)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # answer what came before, and no more: the parser reads no further
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            cause = error.__context__
            if not isinstance(cause, _Refused):
                cause = _Refused("malformed", _malformed("It is not HTTP/1.1 as RFC 9112 has it."))
            self._refuse(cause.reason, cause.problem)
        except _Refused as refused:
            self._refuse(refused.reason, refused.problem)

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        super().on_message_begin()
        self._reading = _Reading.HEAD
        self._head_fed = 0
        self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        if len(self.headers) >= _MOST_FIELDS:
            raise _too_large(f"{_MOST_FIELDS} fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is too large or could be read in two ways."""
        self._check(len(self.url) + sum(map(len, chain.from_iterable(self.headers))))
        self._reading = _Reading.BODY
        objection = _objection(self.headers, self.parser.get_http_version())
        if objection is not None:
            raise _Refused("malformed", _malformed(objection))
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the request's body."""
        self._reading = _Reading.NOTHING
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """After an answer, wait for the rest of the body that it left unread, but not for long."""
        super().on_response_complete()
        if self._reading is _Reading.BODY and self._deadline is None:
            self._arm(_LINGER_SECONDS, self._body_is_late)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; also one whose client does not read its answer."""
        self._close()

    def _check(self, head_bytes: int) -> None:
        if head_bytes > self.limits.head_bytes:
            raise _too_large(f"{self.limits.head_bytes} bytes")

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._arm(self.limits.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._refuse("head_late", _late(self.limits.head_seconds))

    def _body_is_late(self) -> None:
        REFUSED.labels("body_late").inc()
        self._close()

    def _refuse(self, reason: str, problem: Problem) -> None:
        """Answer what is being read, unless an answer is under way, and close."""
        REFUSED.labels(reason).inc()
        self._deaf = True
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # whatever its application says from now on is not sent
            cycle.message_event.set()
            answers = cycle.more_body and not cycle.response_started
        else:
            answers = True
        if answers and not self.transport.is_closing():
            self.transport.write(_written(problem))
        self._close()

    def _close(self) -> None:
        """Close once everything is written; a client that does not read is not waited for."""
        self.transport.close()
        self._arm(_LINGER_SECONDS, self.transport.abort)

    def _arm(self, seconds: float, then: Callable[[], object]) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, then)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def connection_class(limits: Limits) -> type[Connection]:
    """Return the protocol class of a server with these limits."""
    CONNECTIONS_LIMIT.set(limits.connections)
    return type("LimitedConnection", (Connection,), {"limits": limits})


class _Refused(Exception):
    """Raised inside the parser, which then stops."""

    def __init__(self, reason: str, problem: Problem) -> None:
        super().__init__(reason)
        self.reason = reason
        self.problem = problem


def _objection(headers: Iterable[tuple[bytes, bytes]], version: str) -> str | None:
    """Return why a head is not taken although its syntax is right, or None."""
    fields = Tally(name for name, _ in headers)
    for name in _SINGLE:
        if fields[name] > 1:
            return f"Its head has the field {name.decode()} twice."
    if version not in {"1.0", "1.1"}:
        return "Only HTTP/1.1 and HTTP/1.0 are spoken here."
    if version == "1.1" and not fields[b"host"]:
        return "Its head has no field host (RFC 9112, 3.2)."
    if version == "1.0" and fields[b"transfer-encoding"]:
        return "HTTP/1.0 has no transfer-encoding (RFC 9112, 6.1)."
    return None


def _written(problem: Problem) -> bytes:
    response = problem.response()
    fields = [*response.raw_headers, (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % field for field in fields)
    return STATUS_LINE[problem.type.status] + head + b"\r\n" + bytes(response.body)


def _malformed(detail: str) -> Problem:
    return Problem(MALFORMED_REQUEST, detail, "Send it with a client that speaks plain HTTP/1.1.")


def _too_large(what: str) -> _Refused:
    problem = Problem(
        HEAD_TOO_LARGE,
        f"The request's head has more than {what}.",
        "Send fewer and shorter fields; messages belong into the body.",
    )
    return _Refused("head_too_large", problem)


def _late(seconds: float) -> Problem:
    return Problem(
        HEAD_TIMEOUT,
        f"The request's head did not arrive within {seconds:g} s.",
        "Send it again over a faster line.",
    )


def _full(limit: int) -> Problem:
    return Problem(
        OVERLOADED,
        f"{limit} connections are open, which is the limit.",
        "Try again in 1 s; keep connections and use them again; run more API processes.",
        headers=retry_after(1),
    )
