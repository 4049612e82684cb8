"""When a frame is due: one timeline for all subscribers, so that who falls behind catches up."""

import math

from ingress_testbed.recordings import Extent
from ingress_testbed.simulator.clock import Clock

MAX_SPEED = math.inf


class Timeline:
    """Maps the recording's time to the clock's: `speed` seconds of it pass in one.

    MAX_SPEED: everything is due at once. The timeline ends `seconds` of the clock after `left` was
    first asked.
    """

    def __init__(self, speed: float, clock: Clock, seconds: float = math.inf) -> None:
        self._speed = speed
        self._clock = clock
        self._seconds = seconds
        self._start: tuple[float, int] | None = None
        self._begun: float | None = None

    def start(self, first: int) -> None:
        """Let it be now what the recording's time `first` (ms) is; only the first call counts.

        It must be the recording's first frame, subscribed or not: a timeline that began with a
        later one would send every frame before its time.
        """
        if self._start is None:
            self._start = (self._clock.monotonic(), first)

    def seconds_until(self, time: int) -> float:
        """Return in how many seconds a frame of `time` (ms) is due; zero or less: now."""
        if self._speed == MAX_SPEED:
            return 0.0
        if self._start is None:
            raise AssertionError("a timeline is started before it is asked")
        started, first = self._start
        return started + (time - first) / 1000 / self._speed - self._clock.monotonic()

    def left(self) -> float:
        """Return for how many seconds frames are sent yet; zero or less: the replay is over."""
        now = self._clock.monotonic()
        if self._begun is None:
            self._begun = now
        return self._begun + self._seconds - now

    def end(self) -> None:
        """End the replay now."""
        self._begun, self._seconds = self._clock.monotonic(), 0.0


def shift_to_now(extent: Extent, speed: float, now: int) -> int:
    """Return by how many ms to move a recording so that it belongs to `now`.

    Up to real time (`speed` 1) its first frame becomes now, so that each frame is sent at its own
    time. Faster than that its last frame does: frames from the future would be quarantined.
    """
    return now - (extent.first if speed <= 1 else extent.last)
