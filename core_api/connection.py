"""One connection of a client: uvicorn's protocol, with a bound on everything before the body.

What a stranger can send without a key is a head, and time. So a head has a size, a number of
fields and a deadline; connections have a number; and what follows a request has a deadline too: a
body that nobody waits for any more, an answer that its client does not read. What frames a body
has the size of a head at most, and trailers are left unread.

Framing that two parsers could read in two ways, by which requests are smuggled past a proxy, is
refused (RFC 9112, 11.2): mostly by llhttp, which is strict unless asked not to be, and by
`core_api.refusals` where it is not.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import Any, cast

import httptools
from prometheus_client import Counter, Gauge
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from core_api.problems import Problem
from core_api.refusals import Refused, full, late, malformed, objection, too_large, written

REFUSED = Counter(
    "core_api_refused_connections_total",
    "Connections cut off, by reason: malformed, head_too_large, head_late, body_late, full.",
    ("reason",),
)
for _reason in ("malformed", "head_too_large", "head_late", "body_late", "full"):
    REFUSED.labels(_reason)
CONNECTIONS = Gauge("core_api_connections", "Open connections.")
CONNECTIONS_LIMIT = Gauge("core_api_connections_limit", "Most connections; beyond it, 503.")

_MOST_FIELDS = 100
_LINGER_SECONDS = 5.0


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
        self._unread: asyncio.TimerHandle | None = None
        self._fed = 0  # bytes of which the parser has made nothing yet
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own narrowing
        """Take the connection, or answer that there are too many."""
        super().connection_made(transport)
        CONNECTIONS.inc()
        if len(self.connections) > self.limits.connections:
            self._refuse("full", full(self.limits.connections))
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        CONNECTIONS.dec()
        self._disarm()
        self._forget_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is no HTTP ends the connection."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        if self._reading is _Reading.NOTHING:
            self._expect_head()
        self._fed += len(data)
        try:
            self.parser.feed_data(data)
            self._check(self._fed)  # a field, perhaps, or a trailer, without an end
        except httptools.HttpParserUpgrade:
            self._deaf = True  # answer what came before, and no more: the parser reads no further
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            cause = error.__context__
            if not isinstance(cause, Refused):
                cause = Refused("malformed", malformed("It is not HTTP/1.1 as RFC 9112 has it."))
            self._refuse(cause.reason, cause.problem)
        except Refused as refused:
            self._refuse(refused.reason, refused.problem)

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        super().on_message_begin()
        self._reading = _Reading.HEAD
        self._fed = 0
        self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; one of a trailer is none of those (RFC 9110, 6.5.1)."""
        if self._reading is not _Reading.HEAD:
            return
        if len(self.headers) >= _MOST_FIELDS:
            raise too_large(f"{_MOST_FIELDS} fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is too large or could be read in two ways."""
        self._check(len(self.url) + sum(map(len, chain.from_iterable(self.headers))))
        wrong = objection(self.headers, self.parser.get_http_version())
        if wrong is not None:
            raise Refused("malformed", malformed(wrong))
        super().on_headers_complete()
        self._reading = _Reading.BODY
        self._fed = 0
        self._disarm()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._fed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request's body."""
        self._reading = _Reading.NOTHING
        self._fed = 0
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """After an answer, wait for the rest of the body that it left unread, but not for long."""
        super().on_response_complete()
        if self._reading is _Reading.BODY and self._deadline is None:
            self._arm(_LINGER_SECONDS, self._body_is_late)
        elif self.transport.is_closing():
            self._arm(self.timeout_keep_alive, self.transport.abort)

    def pause_writing(self) -> None:
        """Write no more for now; a client that does not read is not waited for."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def resume_writing(self) -> None:
        """Write on."""
        super().resume_writing()
        self._forget_unread()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; also one whose client does not read its answer."""
        self._close()

    def _check(self, head_bytes: int) -> None:
        if head_bytes > self.limits.head_bytes:
            raise too_large(f"{self.limits.head_bytes} bytes")

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._arm(self.limits.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._refuse("head_late", late(self.limits.head_seconds))

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
            answers = self._reading is not _Reading.BODY  # which has its answer
        if answers and not self.transport.is_closing():
            self.transport.write(written(problem))
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

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def connection_class(limits: Limits) -> type[Connection]:
    """Return the protocol class of a server with these limits."""
    CONNECTIONS_LIMIT.set(limits.connections)
    return type("LimitedConnection", (Connection,), {"limits": limits})
