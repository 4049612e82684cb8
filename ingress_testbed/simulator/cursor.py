"""Where the connections of a subscriber stand in the recording."""

from collections import deque
from collections.abc import Callable, Iterator
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

    def fork(self) -> "Cursor":
        """Return a cursor that stands at the same place, for somebody else."""
        fork = Cursor(self._recording)
        fork._skip(self._passed)
        fork._unsent.extend(self._unsent)
        fork._written, fork._ended = self._written, self._ended
        return fork

    @property
    def passed(self) -> int:
        """How many frames of the recording were read, what is not written yet included."""
        return self._passed

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
        self._skip(place)
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

    def _skip(self, place: int) -> None:
        """Pass the first `place` frames of the recording, none of which was read yet."""
        self._passed = sum(1 for _ in islice(self._frames, place))

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


class Cursors:
    """The cursors of one key and one set of vehicles: each connection has its own.

    The key stands where the furthest of them does. A new connection begins there, and what one
    connection gets is not taken away from another.
    """

    def __init__(self, recording: Callable[[], Recording]) -> None:
        self._recording = recording
        self._in_use: set[Cursor] = set()
        self._idle: Cursor | None = None

    @property
    def finished(self) -> bool:
        """Whether everything was written to everybody who is there, or was last."""
        return bool(self._all()) and all(one.finished for one in self._all())

    def take(self) -> Cursor:
        """Return a cursor at the key's place, for one connection; `give_back` follows."""
        furthest = max(self._all(), key=lambda one: one.passed, default=None)
        if furthest is None:
            cursor = Cursor(self._recording())
        elif furthest is self._idle:
            cursor, self._idle = furthest, None
        else:
            cursor = furthest.fork()
        self._in_use.add(cursor)
        return cursor

    def give_back(self, cursor: Cursor) -> None:
        """Keep the place of a connection that ended, if no other one has come as far."""
        self._in_use.discard(cursor)
        if any(one.passed >= cursor.passed for one in self._all()):
            cursor.close()
            return
        if self._idle is not None:
            self._idle.close()
        self._idle = cursor

    def close(self) -> None:
        """Close all files."""
        for cursor in self._all():
            cursor.close()

    def _all(self) -> list[Cursor]:
        return [*self._in_use, *([] if self._idle is None else [self._idle])]
