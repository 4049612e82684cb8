"""The rejection breaker: when nearly everything is rejected, the fault is not in the records. Pure."""

from collections import deque
from collections.abc import Iterable
from itertools import chain

from core_ingest.outcome import Outcome, OutcomeKind

EXCUSED = frozenset({"unknown_version", "clock_ahead"})
"""Reasons that say nothing of this process: an upgrade, or an edge's clock, mends them, and a replay
of the dead letters gives what they hold."""

_LEAST_PART = 10


class Breaker:
    """Judges by the newest records, at least `window` of them in whole batches.

    It opens once at least a tenth of the window was seen and `share` of what was seen was rejected.
    Open, it stays so: somebody must look.
    """

    def __init__(self, window: int, share: float) -> None:
        self._window = window
        self._share = share
        self._batches: deque[tuple[int, int]] = deque()
        self._seen = 0
        self._rejected = 0
        self.open = False

    @property
    def rejected(self) -> tuple[int, int]:
        """Return how many records of how many were rejected."""
        return self._rejected, self._seen

    def observe(self, outcomes: Iterable[Iterable[Outcome]]) -> bool:
        """Take note of the outcomes of a batch; return whether the breaker is open."""
        seen = rejected = 0
        for outcome in chain.from_iterable(outcomes):
            if outcome.kind is not OutcomeKind.DEAD_LETTERED:
                seen += 1
            elif outcome.reason not in EXCUSED:
                seen += 1
                rejected += 1
        self._add(seen, rejected)
        enough = self._seen * _LEAST_PART >= self._window
        self.open = self.open or (enough and self._rejected >= self._share * self._seen)
        return self.open

    def _add(self, seen: int, rejected: int) -> None:
        if not seen:
            return
        self._batches.append((seen, rejected))
        self._seen += seen
        self._rejected += rejected
        while self._seen - self._batches[0][0] >= self._window:
            old_seen, old_rejected = self._batches.popleft()
            self._seen -= old_seen
            self._rejected -= old_rejected
