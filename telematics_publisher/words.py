"""Numbers and instants as people read them."""

from datetime import UTC, datetime


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless there is one of it."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def short(instant: datetime) -> str:
    """Return an instant to the second, in UTC."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
