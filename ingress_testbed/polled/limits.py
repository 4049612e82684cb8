"""Rate limits as providers keep them, and whether anybody ever went over one. Pure."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds; `aligned` windows begin at multiples of `seconds`."""

    requests: int
    seconds: float
    aligned: bool = False


@dataclass(slots=True)
class Limit:
    """One limit, kept for each account by itself; without a rate it only counts.

    `requests` and `breaches` are of all accounts. A request that is refused uses up nothing.
    """

    rate: Rate | None
    requests: int = 0
    breaches: int = 0
    _admitted: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))

    def wait(self, account: str, now: int) -> int:
        """Count a request at `now` (ms); return 0 if it is admitted, else the ms to wait."""
        self.requests += 1
        if self.rate is None:
            return 0
        admitted = self._current(account, now, self.rate)
        if len(admitted) < self.rate.requests:
            admitted.append(now)
            return 0
        self.breaches += 1
        if self.rate.aligned:
            return self.reset(now) - now
        return admitted[0] + round(self.rate.seconds * 1000) - now

    def remaining(self, account: str, now: int) -> int:
        """Return how many more requests would be admitted at `now`."""
        if self.rate is None:
            raise AssertionError("nobody asks what remains of no limit")
        return self.rate.requests - len(self._current(account, now, self.rate))

    def reset(self, now: int) -> int:
        """Return when (ms) the aligned window of `now` ends."""
        if self.rate is None:
            raise AssertionError("there is no window without a limit")
        window = round(self.rate.seconds * 1000)
        return (now // window + 1) * window

    def status(self) -> dict[str, Any]:
        """Return what GET /simulator/status tells of it."""
        rate = self.rate
        return {
            "requests": self.requests,
            "breaches": self.breaches,
            "limit": None if rate is None else rate.requests,
            "seconds": None if rate is None else rate.seconds,
        }

    def _current(self, account: str, now: int, rate: Rate) -> deque[int]:
        window = round(rate.seconds * 1000)
        oldest = now // window * window if rate.aligned else now - window + 1
        admitted = self._admitted[account]
        while admitted and admitted[0] < oldest:
            admitted.popleft()
        return admitted
