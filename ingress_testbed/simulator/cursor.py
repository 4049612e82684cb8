"""Where a subscriber stands in the recording."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from ingress_testbed.recordings import Frame, Recording
from ingress_testbed.simulator.protocol import Resend, Subscription


class Cursor:
    """A place in `recording` that survives connections: all before it was written to a socket.

    What was written into a dead socket is lost, as it is with the real provider, unless the client
    rewinds. One sender at a time uses a cursor.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._frames = recording.frames()
        self._passed = 0
        self._written = 0
        self._unsent: deque[Frame] = deque()
        self._handed_out = 0
        self._ended = False

    @property
    def total(self) -> int:
        """How many frames were written, those before a rewind too."""
        return self._written

    @property
    def finished(self) -> bool:
        """Whether everything was written."""
        return self._ended and not self._unsent

    def take(self, subscription: Subscription) -> Iterator[Frame]:
        """Yield the subscribed frames from the place on; `written` moves the place.

        The iterator can be dropped at any frame. A new one repeats what was taken but not written.
        """
        self._handed_out = 0
        while True:
            if self._handed_out == len(self._unsent):
                frame = self._read(subscription)
                if frame is None:
                    return
                self._unsent.append(frame)
            self._handed_out += 1
            yield self._unsent[self._handed_out - 1]

    def written(self, count: int) -> None:
        """Move the place behind the first `count` frames that were taken."""
        for _ in range(count):
            self._unsent.popleft()
        self._handed_out -= count
        self._written += count

    def rewind(self, resend: Resend, subscription: Subscription) -> None:
        """Go back by `resend` subscribed frames, or to the start."""
        if resend == 0:
            return
        place = 0 if resend == "all" else self._place_before(resend, subscription)
        self.close()
        self._frames = self._recording.frames()
        self._passed = sum(1 for _ in islice(self._frames, place))
        self._unsent.clear()
        self._ended = False

    def end(self) -> None:
        """Let the recording end here: what was not written yet never is."""
        self.close()
        self._unsent.clear()
        self._ended = True

    def close(self) -> None:
        """Close the recording's file."""
        self._frames.close()

    def _read(self, subscription: Subscription) -> Frame | None:
        for frame in self._frames:
            self._passed += 1
            if frame.label in subscription.get(frame.vid, ()):
                return frame
        self._ended = True
        return None

    def _place_before(self, resend: int, subscription: Subscription) -> int:
        passed = self._recording.frames()
        places = [
            place
            for place, frame in enumerate(islice(passed, self._passed))
            if frame.label in subscription.get(frame.vid, ())
        ]
        passed.close()
        back = resend + len(self._unsent)
        return places[-back] if back <= len(places) else 0
