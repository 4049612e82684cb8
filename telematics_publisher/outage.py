"""What is said of a way to core that is gone: that it is, now and then that it still is, its return.

Each batch in flight tries again and again; a line for each attempt would say the same a hundred
times, and not that nothing is lost.
"""

from collections.abc import Callable
from typing import Any

from telematics_publisher.clock import Seconds
from telematics_publisher.errors import ClockAhead
from telematics_publisher.retry import is_retryable

REMINDER_SECONDS = 60.0
CALM_SECONDS = 5.0
"""It must have been back for so long that a new outage is told at once: else, as a reminder."""


class Outage:
    """Follows the attempts of one workspace. `log` is bound; `pending` counts what waits."""

    def __init__(self, log: Any, pending: Callable[[], int], clock: Seconds) -> None:
        self._log = log
        self._pending = pending
        self._clock = clock
        self._since: float | None = None
        self._told = False
        self._last_told = float("-inf")
        self._back = float("-inf")

    def failed(self, error: BaseException) -> None:
        """Take note of an attempt that failed, and say so if that is news."""
        if isinstance(error, ClockAhead) or not is_retryable(error):
            self.over()  # that is an answer
            return
        now = self._clock()
        begins = self._since is None
        self._since = since = now if self._since is None else self._since
        if begins and now - self._back >= CALM_SECONDS:
            self._log.warning("transport_away", **self._told_of(error))
        elif now - self._last_told >= REMINDER_SECONDS:
            seconds = round(now - since, 1)
            self._log.warning("transport_still_away", seconds=seconds, **self._told_of(error))

    def over(self) -> None:
        """Take note of an answer: the other side is there."""
        if self._since is None:
            return
        now = self._clock()
        if self._told:
            self._log.info(
                "transport_back", away_seconds=round(now - self._since, 1), pending=self._pending()
            )
        self._since, self._told, self._back = None, False, now

    def _told_of(self, error: BaseException) -> dict[str, object]:
        """Note that it is told now, and return what is told."""
        self._told, self._last_told = True, self._clock()
        return {
            "error": str(error),
            "pending": self._pending(),
            "consequence": "frames wait in the journal, and are sent when it is back",
        }
