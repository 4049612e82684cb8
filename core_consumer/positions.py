"""Where this process stands in its partitions: what is expected next, and what is behind. Pure.

No gap in the offsets is passed before it was asked for a second time. Kafka leaves gaps of its own
(markers of transactions, compaction); but a fetch that breaks in the middle leaves one too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Place: TypeAlias = tuple[str, int]
"""Topic and partition."""


class Start(StrEnum):
    """How what came relates to what was expected."""

    EXPECTED = "expected"
    GAP = "gap"
    """Records are missing before it: ask for them again."""

    SKIPPED = "skipped"
    """They were asked for again, and are not there."""

    BACK = "back"
    """It lies before what was expected: the partition is not the one that it was."""


@dataclass(slots=True)
class _Standing:
    expected: int | None = None
    asked: int | None = None
    committed: int | None = None
    end: int | None = None
    oldest: int | None = None
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a partition is behind: in records, and by the age (s) of the oldest of them."""

    records: int
    seconds: float


class Positions:
    """The partitions of one member of the group. Timestamps are in ms."""

    def __init__(self) -> None:
        self._standings: dict[Place, _Standing] = {}

    def assign(self, committed: Mapping[Place, int | None]) -> None:
        """Begin anew with these partitions and what the group has committed of each."""
        self._standings = {
            place: _Standing(expected=offset, committed=offset)
            for place, offset in committed.items()
        }

    @property
    def places(self) -> list[Place]:
        """Return the partitions, in order."""
        return sorted(self._standings)

    def judge(self, place: Place, first: int) -> Start:
        """Tell how a record at `first` that came next relates to what was expected."""
        standing = self._standing(place)
        if standing.expected is None or first == standing.expected:
            return Start.EXPECTED
        if first < standing.expected:
            return Start.BACK
        if standing.asked == standing.expected:
            return Start.SKIPPED
        return Start.GAP

    def ask(self, place: Place) -> int:
        """Return the offset to ask for again, after a gap before what came."""
        standing = self._standing(place)
        if standing.expected is None:
            raise AssertionError(f"nothing is expected of {place}")
        standing.asked = standing.expected
        return standing.expected

    def next(self, place: Place, first: int) -> int:
        """Return the offset to read next, if what came at `first` was not received."""
        standing = self._standings.get(place)
        if standing is None or standing.expected is None:
            return first
        return min(first, standing.expected)

    def receive(self, place: Place, first: int, following: int) -> None:
        """Take note that everything from `first` up to `following` came."""
        standing = self._standing(place)
        standing.expected = following
        standing.asked = None
        if standing.committed is None:
            standing.committed = first

    def begin(self, oldest: Mapping[Place, int]) -> None:
        """Take note of the oldest timestamps of what is in work now."""
        for place, timestamp in oldest.items():
            standing = self._standing(place)
            if standing.oldest is None:
                standing.oldest = timestamp

    def rewind(self, starts: Mapping[Place, int]) -> dict[Place, int]:
        """Expect `starts` again; return those to seek: ours, and not before `starts` already."""
        found = {}
        for place, start in starts.items():
            standing = self._standings.get(place)
            if standing is None or standing.expected is None or standing.expected <= start:
                continue
            standing.expected = found[place] = start
        return found

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Take note of what was committed: nothing before it waits."""
        for place, offset in offsets.items():
            standing = self._standing(place)
            standing.committed = offset
            standing.oldest = standing.behind = None

    def look(self, ends: Mapping[Place, int]) -> list[Place]:
        """Take note of the ends that the brokers report; return where an end has moved back."""
        back = []
        for place, end in ends.items():
            standing = self._standing(place)
            if standing.end is not None and end < standing.end:
                back.append(place)
            standing.end = end
        return back

    def lags(self, now: int) -> dict[Place, Lag]:
        """Return how far each partition is behind at `now` (ms); never less than nothing.

        Where no record of it is in work, the age is that of the lag as far as it was seen.
        """
        return {place: self._lag(standing, now) for place, standing in self._standings.items()}

    def _standing(self, place: Place) -> _Standing:
        return self._standings.setdefault(place, _Standing())

    @staticmethod
    def _lag(standing: _Standing, now: int) -> Lag:
        records = max(0, (standing.end or 0) - (standing.committed or 0))
        if records == 0:
            standing.behind = None
        elif standing.behind is None:
            standing.behind = now
        since = standing.behind if standing.oldest is None else standing.oldest
        return Lag(records, 0.0 if since is None else max(0.0, (now - since) / 1_000))
