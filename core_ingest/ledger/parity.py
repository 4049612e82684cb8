"""Whether what came by Kafka is what came by HTTP: sets of numbers and a verdict, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TypeAlias
from uuid import UUID

from core_ingest.ledger.numbers import Range, count_spans, mask, spans

LATEST = timedelta(minutes=5)
"""How far the newest checkpoint that came by the copies too may lie before the window's end."""

Bitmaps: TypeAlias = Mapping[UUID, Mapping[int, int]]
"""Numbers by epoch, then by block."""


class Verdict(StrEnum):
    """Whether Kafka may become the way to core."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    UNDECIDED = "undecided"


@dataclass(slots=True)
class Block:
    """What is known of a block: bitmaps.

    `firsts` are the numbers that the window is about: in it they came for the first time.
    """

    firsts: int = 0
    http: int = 0
    kafka: int = 0
    http_dead: int = 0
    kafka_dead: int = 0


Blocks: TypeAlias = Mapping[tuple[UUID, int], Block]
"""By epoch and block."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A set of numbers by epoch and block, none of them empty."""

    bitmaps: Bitmaps = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(bits.bit_count() for found in self.bitmaps.values() for bits in found.values())

    def ranges(self, most: int) -> tuple[list[tuple[UUID, Range]], int]:
        """Return the first ranges, at most `most`, and how many more there are."""
        total = sum(count_spans(found) for found in self.bitmaps.values())
        every = (
            (epoch, span) for epoch in sorted(self.bitmaps) for span in spans(self.bitmaps[epoch])
        )
        first = list(islice(every, most))
        return first, total - len(first)


@dataclass(frozen=True, slots=True)
class Parity:
    """Numbers of a window that can be judged, and how many more are still on their way.

    `dead_by_kafka` came both ways, and Kafka's copy alone was dead-lettered.
    """

    both: int = 0
    only_http: Numbers = field(default_factory=Numbers)
    only_kafka: Numbers = field(default_factory=Numbers)
    dead_by_kafka: Numbers = field(default_factory=Numbers)
    under_way: int = 0

    @property
    def judged(self) -> int:
        """How many numbers can be judged."""
        return self.both + len(self.only_http) + len(self.only_kafka)


def compare(blocks: Blocks, judged: Mapping[UUID, Iterable[Range]]) -> Parity:
    """Return what came both ways and what only one; `judged` are the numbers that can be judged."""
    both = under_way = 0
    missing: list[dict[UUID, dict[int, int]]] = [{}, {}, {}]
    for (epoch, number), block in blocks.items():
        known = block.firsts & mask(number, judged.get(epoch, ()))
        under_way += (block.firsts & ~known).bit_count()
        common = known & block.http & block.kafka
        both += common.bit_count()
        found = (
            known & block.http & ~block.kafka,
            known & block.kafka & ~block.http,
            common & block.kafka_dead & ~block.http_dead,
        )
        for numbers, bits in zip(missing, found, strict=True):
            if bits:
                numbers.setdefault(epoch, {})[number] = bits
    only_http, only_kafka, dead = map(Numbers, missing)
    return Parity(both, only_http, only_kafka, dead, under_way)


def decide(
    parity: Parity, *, barrier: datetime | None, end: datetime, least: int
) -> tuple[Verdict, tuple[str, ...]]:
    """Return whether it is safe to switch, and the reasons if not.

    `barrier` is when the newest checkpoint was made that came by the copies too, `end` where the
    window ends, `least` how many numbers must have been judged. What is missing is unsafe, however
    little else is known.
    """
    if reasons := tuple(_against(parity)):
        return Verdict.UNSAFE, reasons
    if reasons := tuple(_open(parity, barrier, end, least)):
        return Verdict.UNDECIDED, reasons
    return Verdict.SAFE, ()


def _against(parity: Parity) -> Iterable[str]:
    if missing := len(parity.only_http):
        yield f"{missing} came by HTTP only: Kafka lacks them, or their copies were never sent"
    if missing := len(parity.only_kafka):
        yield f"{missing} came by Kafka only, though core acknowledged them over HTTP"
    if dead := len(parity.dead_by_kafka):
        yield f"{dead} became dead letters by Kafka and not by HTTP: see their reasons"


def _open(parity: Parity, barrier: datetime | None, end: datetime, least: int) -> Iterable[str]:
    if barrier is None:
        yield "no checkpoint has come by every partition yet"
    elif end - barrier > LATEST:
        yield f"no checkpoint since {barrier:%Y-%m-%d %H:%M:%SZ} has come by every partition"
    if parity.judged < least:
        yield f"too little traffic: {parity.judged} numbers were judged, {least} are wanted"


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on all: safe only where each is, and there is one."""
    if Verdict.UNSAFE in verdicts:
        return Verdict.UNSAFE
    return Verdict.SAFE if set(verdicts) == {Verdict.SAFE} else Verdict.UNDECIDED


def percentile(counts: Sequence[int], bounds: Sequence[float], share: float) -> float | None:
    """Return the bound (s) within which a share (0 to 1) of all delays lies.

    None where there are none, or where it lies beyond the last bound.
    """
    wanted, seen = share * sum(counts), 0
    for count, bound in zip(counts, bounds, strict=False):
        seen += count
        if seen and seen >= wanted:
            return bound
    return None
