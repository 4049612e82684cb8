"""What a provider knew, and when it got to know it. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple


class Record(NamedTuple):
    """One thing that a provider got to know. Times in epoch ms.

    `vehicle` is the fleet's own name; `values` are JSON values in the provider's units.
    """

    vehicle: str
    kind: str
    event: int
    received: int
    values: Mapping[str, Any]


class Timeline:
    """Records in the order in which they were received; equal times keep the order given.

    A record's place never changes, so that a place can be a cursor.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records: Sequence[Record] = sorted(records, key=lambda record: record.received)
        self._received = [record.received for record in self.records]

    def known(self, now: int) -> int:
        """Return how many records were received until `now`, the instant included."""
        return bisect_right(self._received, now)

    def place(self, received: int) -> int:
        """Return the place of the first record that was received at `received` or later."""
        return bisect_left(self._received, received)


@dataclass(frozen=True, slots=True)
class Pace:
    """How the fleet's time maps to the provider's clock, both in epoch ms.

    What happened at `first` happened when the clock said `begin`; after that `speed` seconds of the
    fleet pass in one of the clock.
    """

    first: int = 0
    begin: int = 0
    speed: float = 1.0

    def happened(self, event: int) -> int:
        """Return what the clock said when `event` happened."""
        return self.begin + round((event - self.first) / self.speed)


@dataclass(frozen=True, slots=True)
class Lag:
    """How long after an event a provider receives it: half of the time less than `median` ms."""

    median: int
    longest: int

    def drawn(self, seed: str) -> int:
        """Return ms; equal seeds, equal lags."""
        chance = Random(seed).random()
        if chance < 0.5:  # noqa: PLR2004 — the median's own definition
            return round(2 * chance * self.median)
        return round(self.median + (self.longest - self.median) * (2 * chance - 1) ** 3)

    def times(self, factor: float) -> "Lag":
        """Return a lag so many times as long."""
        return Lag(round(self.median * factor), round(self.longest * factor))
