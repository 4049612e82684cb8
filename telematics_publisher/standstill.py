"""How long traffic stood still: batches were under way, and none was acknowledged."""

from prometheus_client import Counter

from telematics_publisher.clock import Seconds

STANDSTILL = Counter(
    "publisher_standstill_seconds_total",
    "Time in which batches were under way and none was acknowledged, beyond the first second.",
)

ALLOWED_SECONDS = 1.0
"""So long a batch may take without anybody's speaking of a standstill."""


class Standstill:
    """Follows the batches of one workspace."""

    def __init__(self, clock: Seconds) -> None:
        self._clock = clock
        self._under_way = 0
        self._since = 0.0

    def begun(self) -> None:
        """Take note of a batch that is sent from now on."""
        if not self._under_way:
            self._since = self._clock()
        self._under_way += 1

    def acknowledged(self) -> None:
        """Take note that something of a batch was acknowledged."""
        now = self._clock()
        STANDSTILL.inc(max(0.0, now - self._since - ALLOWED_SECONDS))
        self._since = now

    def ended(self) -> None:
        """Take note that a batch is not under way any more."""
        self._under_way -= 1
