"""A set of whole numbers, kept as disjoint ranges: small where the numbers are dense."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class RangeSet:
    """A mutable set of integers. Ranges are inclusive at both ends, rising, and never touch."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._size = 0
        for first, last in ranges:
            self.add(first, last)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    @property
    def spans(self) -> int:
        """How many ranges it takes."""
        return len(self._firsts)

    def copy(self) -> "RangeSet":
        """Return a set of its own with the same numbers."""
        made = RangeSet()
        made._firsts, made._lasts = self._firsts.copy(), self._lasts.copy()
        made._size = self._size
        return made

    def add(self, first: int, last: int) -> None:
        """Add every number of [first, last], merging with what touches it."""
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._replace(low, high, [(first, last)])

    def remove(self, first: int, last: int) -> None:
        """Remove every number of [first, last] that is there."""
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        if low >= high:
            return
        kept = []
        if self._firsts[low] < first:
            kept.append((self._firsts[low], first - 1))
        if self._lasts[high - 1] > last:
            kept.append((last + 1, self._lasts[high - 1]))
        self._replace(low, high, kept)

    def within(self, first: int, last: int) -> tuple[tuple[int, int], ...]:
        """Return the part of the set that lies in [first, last], as ranges."""
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        return tuple(
            (max(first, self._firsts[at]), min(last, self._lasts[at])) for at in range(low, high)
        )

    def _replace(self, low: int, high: int, ranges: list[tuple[int, int]]) -> None:
        for at in range(low, high):
            self._size -= self._lasts[at] - self._firsts[at] + 1
        self._size += sum(last - first + 1 for first, last in ranges)
        self._firsts[low:high] = [first for first, _ in ranges]
        self._lasts[low:high] = [last for _, last in ranges]


def ranges_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return rising `numbers` as inclusive ranges: 1, 2, 3, 7 becomes [(1, 3), (7, 7)]."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
