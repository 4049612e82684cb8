"""Whether the event loop turns: what the liveness probe of a process asks."""

import asyncio
import time
from collections.abc import Callable

_SECONDS = 1.0
_LATEST_SECONDS = 30.0


class Heartbeat:
    """Beats on the event loop, and is read by the metrics server's threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def alive(self) -> bool:
        """Tell whether the event loop has turned lately."""
        return self._clock() - self._last < _LATEST_SECONDS

    async def beat(self) -> None:
        """Take note that the loop turns, until cancelled."""
        while True:
            self._last = self._clock()
            await asyncio.sleep(_SECONDS)
