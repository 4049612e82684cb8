"""Readings: what an interpreter finds in a message. Instants are µs since 1970-01-01 UTC."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import MAX_EMAX, MIN_EMIN, ROUND_05UP, Context, Decimal
from functools import lru_cache
from math import isfinite, nan
from typing import NamedTuple, TypeAlias

from pydantic_core import TzInfo

Position: TypeAlias = tuple[float, float]
"""Latitude and longitude in degrees, WGS 84."""

Value: TypeAlias = float | str | Position
"""A number (never NaN, infinite or -0), a text, or a position."""

Columns: TypeAlias = tuple[float, float, str]
"""A value as (num, lon, text): disjoint by kind, see the comment on table `history`."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = -62_135_596_799_999_999
"""0001-01-01T00:00:00.000001Z. The very first instant is the driver's word for -infinity."""
LATEST = 253_402_300_799_999_998
"""9999-12-31T23:59:59.999998Z. The very last instant is the driver's word for infinity."""
MAX_TEXT_BYTES = 256
_FIXED = {timezone, TzInfo}
"""Zones whose offset never changes: all that an RFC 3339 text can name."""
_EXACT = Context(prec=1_100, rounding=ROUND_05UP, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Keeps more digits than any midpoint between two float64 has, and never raises.

What it cuts off leaves a trace in the last digit, so that float64 is rounded to only once.
"""


class Reading(NamedTuple):
    """One value of one signal (its name: a VSS path or `{provider}.{label}`) at one instant."""

    signal: str
    observed: int
    value: Value


class Rejected(NamedTuple):
    """A reading that cannot be kept: a stable snake_case reason, and a detail for people."""

    reason: str
    detail: str


class Interpretation(NamedTuple):
    """What a message says: of which asset of which provider, and the readings in their order."""

    provider: str
    external_id: str
    readings: list[Reading | Rejected]


class Uninterpretable(Exception):
    """A message as a whole cannot be understood. `reason` is a stable snake_case word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Unstorable(ValueError):
    """A value that is no number, text or position that can be kept; `args` are reason, detail."""


def number(value: Decimal | float, factor: Decimal | None = None) -> float:
    """Return `value` times `factor`, exact and rounded once to float64; -0 becomes 0.

    Raises Unstorable for NaN, infinities and what float64 cannot hold.
    """
    try:
        product = float(value if factor is None else _EXACT.multiply(Decimal(value), factor))
    except OverflowError:
        product = nan
    if not isfinite(product):
        raise Unstorable("not_finite", f"{value!s:.40} is no finite float64 number")
    return product + 0.0


def text(value: str) -> str:
    """Return `value` if it can be stored. Raises Unstorable: over 256 bytes, NUL, surrogates."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Unstorable("unstorable_text", "the text holds a lone surrogate") from None
    if size > MAX_TEXT_BYTES:
        raise Unstorable("text_too_long", f"{size} bytes, allowed are {MAX_TEXT_BYTES}")
    if "\x00" in value:
        raise Unstorable("unstorable_text", "the text holds a NUL character")
    return value


def order(value: Value) -> tuple[int, Value]:
    """Return the sort key of the fixed order: number < text < position, each by its own order.

    Python compares texts by code point, which is the order of their UTF-8 bytes.
    """
    if isinstance(value, float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, value)


def columns(value: Value) -> Columns:
    """Return `value` as it is stored."""
    if isinstance(value, float):
        return value, nan, ""
    return (nan, nan, value) if isinstance(value, str) else (*value, "")


def of_columns(num: float, lon: float, text_: str) -> Value:
    """Return the value that was stored as these columns."""
    if lon == lon:  # noqa: PLR0124 — the cheapest test for NaN, which only numbers and texts have here
        return num, lon
    return num if num == num else text_  # noqa: PLR0124 — likewise, only texts have it


def micros(instant: datetime) -> int:
    """Return an aware datetime as µs since 1970-01-01 UTC."""
    zone = instant.tzinfo
    since = instant - (_epoch(zone) if type(zone) in _FIXED else EPOCH)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(64)
def _epoch(zone: tzinfo | None) -> datetime:
    """Return 1970-01-01 UTC as it is written in `zone`: instants of one zone are quick to subtract."""
    return EPOCH.astimezone(zone)


def instant(micros_: int) -> datetime:
    """Return µs since 1970-01-01 UTC as an aware datetime."""
    return EPOCH + timedelta(0, 0, micros_)  # by place: a third quicker, and done twice a fact
