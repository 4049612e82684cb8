"""Lengths of time as people type them: 90s, 30m, 24h, 7d."""

import re
from datetime import timedelta

_FORM = re.compile(r"(?P<number>\d{1,8})(?P<unit>[smhd])|0")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=366)


def duration(text: str) -> timedelta:
    """Return the length of time that `text` says, at most 366 days. Raises ValueError."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no length of time: 90s, 30m, 24h, 7d or 0.")
    if match["unit"] is None:
        return timedelta(0)
    length = timedelta(**{_UNITS[match["unit"]]: int(match["number"])})
    if length > _LONGEST:
        raise ValueError(f"{text!r} is too long: at most 366d.")
    return length
