"""Time, as the simulator asks for it, so that a test can set it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never go back, the time of day, and a way to wait."""

    def monotonic(self) -> float:
        """Return seconds since some fixed instant."""

    def epoch_ms(self) -> int:
        """Return the time of day in milliseconds since 1970-01-01 UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait; not at all for zero or less."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Return seconds since some fixed instant."""
        return time.monotonic()

    def epoch_ms(self) -> int:
        """Return the time of day in milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait; not at all for zero or less."""
        if seconds > 0:
            await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
