"""Why a connection is refused before any route is asked: what a head may not be, and the answers."""

from collections import Counter as Tally
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from core_api.problems import (
    HEAD_TIMEOUT,
    HEAD_TOO_LARGE,
    MALFORMED_REQUEST,
    OVERLOADED,
    Problem,
    retry_after,
)

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


class Refused(Exception):
    """Raised inside the parser, which then stops."""

    def __init__(self, reason: str, problem: Problem) -> None:
        super().__init__(reason)
        self.reason = reason
        self.problem = problem


def objection(headers: Iterable[tuple[bytes, bytes]], version: str) -> str | None:
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


def written(problem: Problem) -> bytes:
    """Return the whole answer, which is the last one of its connection."""
    response = problem.response()
    fields = [*response.raw_headers, (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % field for field in fields)
    return STATUS_LINE[problem.type.status] + head + b"\r\n" + bytes(response.body)


def malformed(detail: str) -> Problem:
    """Return the 400 of what is no HTTP, or could be read in two ways."""
    return Problem(MALFORMED_REQUEST, detail, "Send it with a client that speaks plain HTTP/1.1.")


def too_large(what: str) -> Refused:
    """Return the 431 of a head, or of a body's frame, that has more than `what`."""
    problem = Problem(
        HEAD_TOO_LARGE,
        f"The request has more than {what} outside its body.",
        "Send fewer and shorter fields; messages belong into the body.",
    )
    return Refused("head_too_large", problem)


def late(seconds: float) -> Problem:
    """Return the 408 of a head that did not arrive in time."""
    return Problem(
        HEAD_TIMEOUT,
        f"The request's head did not arrive within {seconds:g} s.",
        "Send it again over a faster line.",
    )


def full(limit: int) -> Problem:
    """Return the 503 of a connection beyond the limit."""
    return Problem(
        OVERLOADED,
        f"{limit} connections are open, which is the limit.",
        "Try again in 1 s; keep connections and use them again; run more API processes.",
        headers=retry_after(1),
    )
