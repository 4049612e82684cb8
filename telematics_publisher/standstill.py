"""How long traffic stood still: batches were under way, and none was acknowledged."""

from ingress_runtime.held import HeldSeconds
from telematics_publisher.clock import Seconds

STANDSTILL = HeldSeconds(
    "publisher_standstill_seconds_total",
    "Time in which batches were under way and none was acknowledged, beyond the first second.",
)

ALLOWED_SECONDS = 1.0
"""So long a batch may take without anybody's speaking of a standstill."""


class Standstill:
    """Follows the batches of one workspace."""

    def __init__(self, clock: Seconds) -> None:
        self._hold = STANDSTILL.hold(clock, allowed=ALLOWED_SECONDS)
        self._under_way = 0

    def begun(self) -> None:
        """Take note of a batch that is sent from now on."""
        self._under_way += 1
        self._hold.begin()

    def acknowledged(self) -> None:
        """Take note that something of a batch was acknowledged."""
        self._hold.again()

    def ended(self) -> None:
        """Take note that a batch is not under way any more."""
        self._under_way -= 1
        if not self._under_way:
            self._hold.end()
