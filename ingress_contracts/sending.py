"""When a request was sent: a header beside the messages, so that core can tell how long it travelled.

It is no attribute of a message, whose every retry is sent anew. Over Kafka the record's timestamp
says the same. Only metrics go by it: without it, or with nonsense in it, messages are taken as well.
"""

from datetime import UTC, datetime, timedelta

SENT_TIME = "ingress-sent-time"
"""The header's name; its value is an RFC 3339 instant with a zone."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def write_sent_time(instant: datetime) -> str:
    """Return the header's value. Raises ValueError where `instant` has no zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant without a zone is none")
    return instant.isoformat()


def read_sent_time(value: str | None) -> int | None:
    """Return the header's instant in µs since the epoch; None where the value names none."""
    try:
        instant = datetime.fromisoformat(value or "")
        return (instant - _EPOCH) // _MICROSECOND if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None
