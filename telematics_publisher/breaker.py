"""A circuit breaker with hysteresis: pure, on a clock that is handed in.

While it is closed, the first way is used. A failure opens it. Open, it asks for probes: attempts by
the first way which nothing waits for. So many in a row must succeed before it closes again. A way
that fails soon after it had come back is trusted later each time: it may come and go as it likes,
the traffic does not follow.
"""

from dataclasses import dataclass
from enum import StrEnum

from telematics_publisher.clock import Seconds


class Circuit(StrEnum):
    """Whether the first way is used: closed; open; half_open, while it is being probed."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Caution:
    """When a way is trusted again, in seconds.

    The first probe comes `pause` after a failure, and twice as late after each one that follows, up
    to `longest`; `probes` must succeed one after the other, `spacing` apart. After `calm` without a
    failure all is forgotten.
    """

    pause: float = 5.0
    longest: float = 300.0
    probes: int = 3
    spacing: float = 1.0
    calm: float = 60.0


class Breaker:
    """Judges one way by its attempts. Nothing here waits, and nothing is sent."""

    def __init__(self, caution: Caution, clock: Seconds) -> None:
        self._caution = caution
        self._clock = clock
        self._successes = 0
        self._failures = 0
        self._open = False
        self._probing = False
        self._urgent = False
        self._since = float("-inf")
        self._due = float("-inf")

    @property
    def circuit(self) -> Circuit:
        """Where it stands."""
        if not self._open:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if self._probing or self._successes else Circuit.OPEN

    @property
    def closed(self) -> bool:
        """Whether the first way is used."""
        return not self._open

    def probe(self, *, urgent: bool = False) -> bool:
        """Return whether a probe is to be sent now: its result must then be told.

        One is urgent where the other way fails too. Then it is not waited for until one is due, and
        its failure does not put off the next.
        """
        if not self._open or self._probing or not (urgent or self._clock() >= self._due):
            return False
        self._probing, self._urgent = True, urgent
        return True

    def failed(self) -> bool:
        """Take note of an attempt that failed while the circuit was closed; return whether it opens.

        Of several that were under way, the first one counts.
        """
        if self._open:
            return False
        if self._clock() - self._since >= self._caution.calm:
            self._failures = 0
        self._trip()
        return True

    def probed(self, *, well: bool) -> bool:
        """Take note of a probe's end; return whether the circuit closes."""
        self._probing = False
        if not well:
            self._successes = 0
            if not self._urgent:
                self._trip()
            return False
        self._successes += 1
        self._due = self._clock() + self._caution.spacing
        if self._successes < self._caution.probes:
            return False
        self._open, self._successes, self._since = False, 0, self._clock()
        return True

    def _trip(self) -> None:
        self._open, self._successes = True, 0
        pause = min(self._caution.pause * 2.0**self._failures, self._caution.longest)
        self._due = self._clock() + pause
        self._failures = min(self._failures + 1, 64)  # 2**64 pauses are beyond any limit
