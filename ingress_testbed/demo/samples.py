"""What the demo sees at one instant, and the rates between two. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

_WINDOW_SECONDS = 5.0
_KEPT = 600


@dataclass(frozen=True, slots=True)
class Stream:
    """One publisher's stream as it stands. `reported`: when core took its last checkpoint.

    `failovers` are those to HTTP; `standstill` is how long (s) nothing was acknowledged.
    """

    publisher: str
    sent: int
    journalled: int
    acknowledged: int
    pending: int
    journal_bytes: int
    finished: bool
    reported: datetime | None
    failovers: int = 0
    standstill: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """All hops at `at`, in seconds since the replay's start. Counts are of data messages.

    `expected` is what the simulator will have sent in the end, to all subscribers. `lag_seconds` is
    the age of the newest stored reading, by its arrival at the edge. `waiting` are records that a
    queue holds and core has not stored yet, None where there is no queue.
    """

    at: float
    expected: int
    streams: tuple[Stream, ...]
    settled: int
    outcomes: Mapping[str, int]
    in_flight: int
    unaccounted: int
    lag_seconds: float | None
    waiting: int | None = None

    @property
    def finished(self) -> bool:
        """Whether the provider has sent everything to all subscribers."""
        return all(stream.finished for stream in self.streams)

    @property
    def arrived(self) -> bool:
        """Whether everything that was sent is settled, and no journal holds anything."""
        return not self.pending and not self.in_flight and self.settled == self.sent

    @property
    def sent(self) -> int:
        """Frames that the provider has sent to all subscribers."""
        return sum(stream.sent for stream in self.streams)

    @property
    def journalled(self) -> int:
        """Records that publishers have on disk, or had: frames and their own control messages."""
        return sum(stream.journalled for stream in self.streams)

    @property
    def acknowledged(self) -> int:
        """Records that core, or the queue, acknowledged to publishers, control messages included."""
        return sum(stream.acknowledged for stream in self.streams)

    @property
    def failovers(self) -> int:
        """Times that traffic went over to HTTP."""
        return sum(stream.failovers for stream in self.streams)

    @property
    def standstill(self) -> float:
        """Seconds in which something was sent and nothing acknowledged, of the worst publisher."""
        return max((stream.standstill for stream in self.streams), default=0.0)

    @property
    def pending(self) -> int:
        """Records in all journals."""
        return sum(stream.pending for stream in self.streams)

    @property
    def journal_bytes(self) -> int:
        """The size of all journals."""
        return sum(stream.journal_bytes for stream in self.streams)


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages a second over the last seconds, at each hop."""

    sent: float = 0.0
    journalled: float = 0.0
    acknowledged: float = 0.0
    settled: float = 0.0


class Samples:
    """The newest samples of a run, the last one last."""

    def __init__(self) -> None:
        self._kept: deque[Sample] = deque(maxlen=_KEPT)

    def add(self, sample: Sample) -> None:
        """Keep `sample`; the oldest give way."""
        self._kept.append(sample)

    @property
    def last(self) -> Sample | None:
        """The newest sample."""
        return self._kept[-1] if self._kept else None

    def rates(self) -> Rates:
        """Return the rates over the last five seconds of samples; zeros before there are two."""
        if len(self._kept) < 2:  # noqa: PLR2004 — a rate needs two samples
            return Rates()
        new = self._kept[-1]
        old = next(one for one in self._kept if new.at - one.at <= _WINDOW_SECONDS)
        return _between(old, new)

    def history(self, points: int) -> list[float]:
        """Return the rate of settlement between the last `points` + 1 samples."""
        kept = list(self._kept)[-points - 1 :]
        return [_between(old, new).settled for old, new in pairwise(kept)]


def _between(old: Sample, new: Sample) -> Rates:
    seconds = new.at - old.at
    if seconds <= 0:
        return Rates()
    return Rates(
        sent=(new.sent - old.sent) / seconds,
        journalled=(new.journalled - old.journalled) / seconds,
        acknowledged=(new.acknowledged - old.acknowledged) / seconds,
        settled=(new.settled - old.settled) / seconds,
    )
