"""What was typed, read and checked. Pure."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ingress_testbed.load.engine import Pace
from ingress_testbed.load.saturation import Bounds

MOST_VEHICLES = 200_000
MOST_STEPS = 100
_PARTS_OF_A_RAMP = 3


class BadOption(ValueError):
    """A text that makes no sense; the message says what would."""


@dataclass(frozen=True, slots=True)
class Options:
    """A load: fleets of growing size, each for `duration` seconds, as whom, and how it is judged."""

    vehicles: tuple[int, ...]
    interval: float
    duration: float
    seed: int
    workspace: str
    publisher: str
    pace: Pace
    bounds: Bounds
    as_json: bool = False
    plot: Path | None = None


def fleets(text: str) -> tuple[int, ...]:
    """Read `400`, or a rising list `100,200,400`. Raises BadOption."""
    numbers = tuple(_number(part) for part in text.split(","))
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise BadOption(f"{text!r} must rise: each step is a larger fleet than the one before")
    return _few(numbers, text)


def ramp(text: str) -> tuple[int, ...]:
    """Read `100:1000:50`: from, to (included if it is met), step. Raises BadOption."""
    parts = text.split(":")
    if len(parts) != _PARTS_OF_A_RAMP:
        raise BadOption(f"{text!r} must be FROM:TO:STEP, such as 200:2000:200")
    first, last, step = map(_number, parts)
    if last < first:
        raise BadOption(f"{text!r} must rise: TO is below FROM")
    return _few(tuple(range(first, last + 1, step)), text)


def _number(text: str) -> int:
    if text.strip().isascii() and text.strip().isdecimal() and 1 <= int(text) <= MOST_VEHICLES:
        return int(text)
    raise BadOption(f"{text!r} must be a whole number from 1 to {MOST_VEHICLES:,}")


def _few(numbers: tuple[int, ...], text: str) -> tuple[int, ...]:
    if len(numbers) > MOST_STEPS:
        raise BadOption(
            f"{text!r} makes {len(numbers):,} steps, and {MOST_STEPS} are allowed: take larger ones"
        )
    return numbers
