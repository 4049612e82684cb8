"""Sets of sequence numbers as bitmaps: bit i, little-endian, stands for first + i."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

BLOCK = 65_536
"""Numbers in a block of the ledger."""

_GAP = 4_096
"""Numbers further apart than this go into runs of their own: a bitmap of zeros costs more."""

Run: TypeAlias = tuple[int, bytes]
"""A first number and the bitmap from there."""

Range: TypeAlias = tuple[int, int]
"""First and last number, both inclusive."""


def runs(numbers: list[int]) -> Iterator[Run]:
    """Yield `numbers` (in any order, repeats allowed) as runs."""
    numbers.sort()
    start = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] - numbers[index - 1] > _GAP:
            yield _run(numbers[start:index])
            start = index


def _run(numbers: list[int]) -> Run:
    first, last = numbers[0], numbers[-1]
    bits = bytearray((last - first >> 3) + 1)
    for number in numbers:
        bits[number - first >> 3] |= 1 << (number - first & 7)
    return first, bytes(bits)


def blocks(first: int, bits: bytes) -> Iterator[tuple[int, int]]:
    """Yield a run as (block, bitmap of the block as an int)."""
    block, offset = divmod(first, BLOCK)
    rest = int.from_bytes(bits, "little") << offset
    while rest:
        if part := rest & _FULL:
            yield block, part
        rest >>= BLOCK
        block += 1


_FULL = (1 << BLOCK) - 1


def mask(block: int, ranges: Iterable[Range]) -> int:
    """Return the bitmap of those numbers of a block that lie in `ranges`."""
    bits = 0
    for first, last in ranges:
        low = max(first - block * BLOCK, 0)
        high = min(last - block * BLOCK, BLOCK - 1)
        if low <= high:
            bits |= (1 << high + 1) - (1 << low)
    return bits


def spans(bitmaps: Mapping[int, int]) -> Iterator[Range]:
    """Yield the numbers of bitmaps by block as ranges, rising, none next to another."""
    pending: Range | None = None
    for block in sorted(bitmaps):
        for low, high in _spans(block * BLOCK, bitmaps[block]):
            if pending is not None and pending[1] + 1 == low:
                pending = pending[0], high
                continue
            if pending is not None:
                yield pending
            pending = low, high
    if pending is not None:
        yield pending


def _spans(first: int, bits: int) -> Iterator[Range]:
    while bits:
        zeros = (bits & -bits).bit_length() - 1
        bits >>= zeros
        ones = (~bits & (bits + 1)).bit_length() - 1
        bits >>= ones
        first += zeros
        yield first, first + ones - 1
        first += ones


def count_spans(bitmaps: Mapping[int, int]) -> int:
    """Return how many ranges `spans` yields, without a look at each."""
    return sum(
        (bits & ~(bits << 1)).bit_count() - (bits & 1 & bitmaps.get(block - 1, 0) >> BLOCK - 1)
        for block, bits in bitmaps.items()
    )


class NumberSet:
    """Numbers of one epoch: full blocks as ranges of blocks, others as bitmaps by block."""

    def __init__(self, full: Iterable[Range] = (), partial: dict[int, int] | None = None) -> None:
        """`full` are ranges of numbers that cover whole blocks."""
        self._full = [(first // BLOCK, last // BLOCK) for first, last in full]
        self._partial = dict(partial or {})
        self.changed: set[int] = set()

    def add(self, block: int, bits: int) -> int:
        """Add a block's bitmap and return the bits that were new."""
        if any(low <= block <= high for low, high in self._full):
            return 0
        old = self._partial.get(block, 0)
        new = bits & ~old
        if new:
            self._partial[block] = old | new
            self.changed.add(block)
        return new

    def add_range(self, first: int, last: int) -> int:
        """Add every number of [first, last], however many, and return how many were new."""
        new = last - first + 1 - self.count_within(first, last)
        low, high = first // BLOCK, last // BLOCK
        for block in {low, high}:
            start = max(first - block * BLOCK, 0)
            count = min(last - block * BLOCK, BLOCK - 1) - start + 1
            self.add(block, (1 << count) - 1 << start)
        if high - low > 1:
            inner = {block for block in self._partial if low < block < high}
            for block in inner:
                del self._partial[block]
            self.changed |= inner
            self._full = _merged([*self._full, (low + 1, high - 1)])
        return new

    def full(self) -> list[Range]:
        """Return full blocks as ranges of numbers, sorted and merged."""
        whole = [(block, block) for block, bits in self._partial.items() if bits == _FULL]
        merged = _merged(self._full + whole)
        return [(low * BLOCK, (high + 1) * BLOCK - 1) for low, high in merged]

    def partial(self) -> dict[int, int]:
        """Return the bitmaps of blocks that are not full."""
        return {block: bits for block, bits in self._partial.items() if bits != _FULL}

    def count_within(self, first: int, last: int) -> int:
        """Return how many numbers of [first, last] are in the set."""
        if last < first:
            return 0
        total = 0
        for low, high in self._full:
            total += max(0, min(last, (high + 1) * BLOCK - 1) - max(first, low * BLOCK) + 1)
        for block, bits in self._partial.items():
            low = max(first - block * BLOCK, 0)
            high = min(last - block * BLOCK, BLOCK - 1)
            if low <= high:
                total += (bits >> low & (1 << high - low + 1) - 1).bit_count()
        return total


def _merged(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
