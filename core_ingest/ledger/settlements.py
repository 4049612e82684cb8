"""Settlements of one transaction, gathered envelope by envelope, appended as a few rows."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from core_ingest.door import Door
from core_ingest.ledger.numbers import Range, runs

DELAY_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0)
"""Upper bounds (s) of the delay from receivedtime to the settling transaction; one more is open."""

DROPPED = "dropped"
"""The outcome of numbers that a publisher gave up by a stated policy."""

_BOUNDS_MICROS = [round(bound * 1_000_000) for bound in DELAY_BOUNDS]


@dataclass(slots=True)
class _Group:
    epoch: UUID
    numbers: list[int] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    delays: list[int] = field(default_factory=lambda: [0] * (len(DELAY_BOUNDS) + 1))


@dataclass(frozen=True, slots=True)
class Settlement:
    """A row of table `settlements`: a bitmap from `first`, or every number from `first` to `last`."""

    workspace: int
    publisher: str
    epoch: UUID
    door: Door
    outcome: str
    first: int
    last: int | None
    numbers: bytes
    delays: list[int]


class Settlements:
    """What a transaction settles. `now` is the database's clock in µs."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._groups: dict[tuple[int, str, int, Door, str], _Group] = {}

    def settle(  # noqa: PLR0913, PLR0917 — an account, a number, an instant: no object per number
        self,
        workspace: int,
        publisher: str,
        epoch: UUID,
        door: Door,
        outcome: str,
        sequence: int,
        received: int,
    ) -> None:
        """Settle one number; `received` is its receivedtime in µs."""
        group = self._groups.get((workspace, publisher, epoch.int, door, outcome))
        if group is None:
            group = self._group(workspace, publisher, epoch, door, outcome)
        group.numbers.append(sequence)
        group.delays[bisect_left(_BOUNDS_MICROS, self._now - received)] += 1

    def drop(
        self, workspace: int, publisher: str, epoch: UUID, door: Door, ranges: Iterable[Range]
    ) -> None:
        """Settle numbers that the publisher reports as dropped."""
        if dropped := list(ranges):
            self._group(workspace, publisher, epoch, door, DROPPED).ranges += dropped

    def _group(
        self, workspace: int, publisher: str, epoch: UUID, door: Door, outcome: str
    ) -> _Group:
        key = (workspace, publisher, epoch.int, door, outcome)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(epoch)
        return group

    def rows(self) -> list[Settlement]:
        """Return the rows to append, sorted by account and number. Delays stand in the first."""
        rows = []
        for key in sorted(self._groups):
            workspace, publisher, _, door, outcome = key
            group = self._groups[key]
            account = (workspace, publisher, group.epoch, door, outcome)
            delays = group.delays
            for first, numbers in runs(group.numbers):
                rows.append(Settlement(*account, first, None, numbers, delays))
                delays = [0] * len(delays)
            for first, last in group.ranges:
                rows.append(Settlement(*account, first, last, b"", [0] * len(delays)))
        return rows
