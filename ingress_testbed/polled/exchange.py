"""Requests and answers, as the pure providers see them, and how they write times."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """`path` without a query, `headers` in small letters; of a repeated parameter the last counts."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def bearer(self) -> str | None:
        """The token of the Authorization header."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Answer:
    """`filler` is how many bytes of blanks follow the body. `data`: it carries what was asked for."""

    status: int
    body: bytes
    media: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bool = False
    filler: int = 0


def answer(
    content: Any, status: int = 200, *, headers: Mapping[str, str] | None = None, data: bool = False
) -> Answer:
    """Return `content` as JSON."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Answer(status, body, headers=headers or {}, data=data)


def instant(milliseconds: int) -> str:
    """Return the instant as RFC 3339 with milliseconds, in UTC."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"


def milliseconds(text: str) -> int | None:
    """Read an RFC 3339 instant as epoch ms; None if it is none. A plus that became a blank counts."""
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)
