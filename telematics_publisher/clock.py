"""Clocks, as functions: what reads one takes it as an argument."""

import time
from collections.abc import Callable

Microseconds = Callable[[], int]
"""Returns the time of day in microseconds since 1970."""

Seconds = Callable[[], float]
"""Returns seconds that never run backwards, from an arbitrary start."""


def wall_clock() -> int:
    """Return the time of day in microseconds since 1970."""
    return time.time_ns() // 1_000
