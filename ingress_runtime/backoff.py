"""Backoff as a pure policy: exponential, with full jitter."""

from collections.abc import Callable
from dataclasses import dataclass

Random = Callable[[], float]
"""Returns a number in [0, 1), as random.random does."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays before attempts, in seconds.

    Full jitter: uniform between `floor` and min(`ceiling`, `base` * 2 ** attempt), so that many
    clients that lost the same server do not come back together.
    """

    base: float
    ceiling: float
    floor: float = 0.0

    def delay(self, attempt: int, random: Random) -> float:
        """Return the delay before attempt number `attempt`; 0 is the first that follows a failure."""
        reach = min(self.ceiling, self.base * 2.0 ** min(attempt, 64))
        return self.floor + max(0.0, reach - self.floor) * random()
