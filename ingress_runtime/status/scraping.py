"""GET over HTTP, for metrics and for core's accounting; the base installation has no client."""

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from ingress_runtime.redact import redact_text
from ingress_runtime.status.reading import NotMetrics, Reading, parse

DEADLINE_SECONDS = 5.0
"""How long each step of a request may take: connect, then each part of the answer."""

_MOST_BYTES = 32 * 2**20


class Unreachable(Exception):
    """What was asked did not answer as it should; the text says how."""


@dataclass(frozen=True, slots=True)
class Target:
    """A process to scrape. `name` is what is expected at `url`, None where that is unknown."""

    url: str
    name: str | None = None


def checked(text: str) -> str:
    """Return an http(s) address without its last slash. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ValueError(f"{redact_text(text)!r} must be an address such as http://127.0.0.1:9464")
    _ = parts.port  # raises ValueError where it is no number
    return text.rstrip("/")


def scrape(target: Target, now: Callable[[], float]) -> Reading:
    """Return what a process says; `now` is the wall clock. Raises Unreachable."""
    text = get(target.url)
    try:
        return parse(text, now())
    except NotMetrics as error:
        raise Unreachable(str(error)) from error


def get(url: str, headers: Mapping[str, str] | None = None) -> str:
    """Return the body of a 200. Redirects are not followed. Raises Unreachable."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    connection = kind(parts.hostname or "", parts.port, timeout=DEADLINE_SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES)
    except TimeoutError as error:
        raise Unreachable(f"no answer within {DEADLINE_SECONDS:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        raise Unreachable(redact_text(why)) from error
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise Unreachable(f"HTTP {answer.status} {answer.reason}".rstrip())
    return body.decode("utf-8", errors="replace")
