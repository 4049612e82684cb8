"""Where a topic's partitions ended when records were acknowledged, and what lay there.

An end that moved back is a topic that was deleted and made anew, or cut off. The journal forgot
these records once they were acknowledged, so what core had not read of them is lost. Core's
accounting shows those as unaccounted; here it is known which ones they may be, and sooner.

Not seen: what happened while this process was away, and an end that others had written beyond
again before the next record of ours. The accounting shows those too.
"""

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple, TypeAlias
from uuid import UUID

from telematics_publisher.journal.ranges import RangeSet

REMEMBERED = 10_000
"""Numbers of a partition that are remembered: the latest ones. 8 bytes each, and 200 a batch."""

Number: TypeAlias = tuple[UUID, int]
"""Epoch and sequence."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A partition that reached to `end` ends at `now`; None: it, or its topic, is not there.

    `numbers` are ours between the two, by epoch, as far as they are remembered.
    """

    partition: int
    end: int
    now: int | None
    numbers: Mapping[UUID, RangeSet]

    @property
    def records(self) -> int:
        """How many of ours were there, as far as they are remembered."""
        return sum(len(ranges) for ranges in self.numbers.values())


class _Run(NamedTuple):
    """Numbers of one epoch, and the offset of the first."""

    offset: int
    epoch: UUID
    sequences: "array[int]"


@dataclass(slots=True)
class _Partition:
    end: int = 0
    size: int = 0
    runs: deque[_Run] = field(default_factory=deque)


class Ends:
    """Takes note of acknowledgements, which must be told in the order of a partition's offsets."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._partitions: dict[int, _Partition] = {}

    def written(self, partition: int, offset: int, numbers: Sequence[Number | None]) -> Gone | None:
        """Take note of records at `offset` and after it; None is one without a number.

        Returns what is gone where the partition had reached further than `offset` before.
        """
        known = self._partitions.setdefault(partition, _Partition())
        gone = self._cut(partition, known, offset) if offset < known.end else None
        known.end = offset + len(numbers)
        for epoch, run in groupby(enumerate(numbers), lambda one: one[1] and one[1][0]):
            if epoch is not None:
                self._remember(known, epoch, offset, [(at, one[1]) for at, one in run if one])
        return gone

    def vanished(self, beyond: int = 0) -> list[Gone]:
        """Forget the partitions from number `beyond` on, which are not there; return what they had."""
        lost = sorted(number for number in self._partitions if number >= beyond)
        return [
            Gone(number, known.end, None, _numbers(known.runs))
            for number in lost
            if (known := self._partitions.pop(number)).end
        ]

    def _remember(
        self, known: _Partition, epoch: UUID, base: int, run: list[tuple[int, int]]
    ) -> None:
        known.runs.append(_Run(base + run[0][0], epoch, array("q", (number for _, number in run))))
        known.size += len(run)
        while known.size > self._remembered and len(known.runs) > 1:
            known.size -= len(known.runs.popleft().sequences)

    def _cut(self, partition: int, known: _Partition, now: int) -> Gone:
        """Forget what lies at `now` or beyond, and return it."""
        lost: list[_Run] = []
        while known.runs and known.runs[-1].offset + len(known.runs[-1].sequences) > now:
            run = known.runs.pop()
            known.size -= len(run.sequences)
            keep = max(0, now - run.offset)
            lost.append(_Run(run.offset + keep, run.epoch, run.sequences[keep:]))
            if keep:
                known.runs.append(_Run(run.offset, run.epoch, run.sequences[:keep]))
                known.size += keep
        return Gone(partition, known.end, now, _numbers(lost))


def merged(gone: Sequence[Gone]) -> Iterator[tuple[UUID, RangeSet]]:
    """Yield the numbers of several partitions together, by epoch."""
    found: dict[UUID, RangeSet] = {}
    for one in gone:
        for epoch, ranges in one.numbers.items():
            whole = found.setdefault(epoch, RangeSet())
            for first, last in ranges:
                whole.add(first, last)
    yield from found.items()


def _numbers(runs: Sequence[_Run] | deque[_Run]) -> dict[UUID, RangeSet]:
    found: dict[UUID, RangeSet] = {}
    for run in runs:
        ranges = found.setdefault(run.epoch, RangeSet())
        for number in run.sequences:
            ranges.add(number, number)
    return found
