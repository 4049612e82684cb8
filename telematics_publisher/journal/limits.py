"""When a journal is full, and what happens then. Pure: levels and instants in, a verdict out."""

from dataclasses import dataclass
from enum import Enum, StrEnum

MOST_DROPPED_RANGES = 1_000
"""Ranges of dropped numbers that core has not heard of yet; at so many, dropping must wait."""

REPORT_BYTES = 2**16
"""Kept free of records, for those ranges: 64 bytes each, which is plenty."""

_SLICE = 16
_LARGEST_SLICE = 2**24


class Policy(StrEnum):
    """What a full journal does: stop reading the streams, or give up its oldest records."""

    BLOCK = "block"
    DROP_OLDEST = "drop-oldest"


class Verdict(Enum):
    """What may happen to records that come in now."""

    TAKE = "take"
    DROP_FIRST = "drop first"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Level:
    """How full a journal is: bytes in use, and when its oldest records were received (µs).

    `oldest` is that of all records, `droppable` that of those which may be dropped now; None where
    there are none.
    """

    bytes: int = 0
    oldest: int | None = None
    droppable: int | None = None


@dataclass(frozen=True, slots=True)
class Excess:
    """What to give up: so many bytes, and whatever was received before an instant (µs)."""

    bytes: int
    before: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a journal. `max_age` is in µs, None for any age.

    While the disk is full, whatever needs room there is tried again every `retry_seconds`.

    Under BLOCK, the oldest record of all counts. Under DROP_OLDEST age makes a journal full only
    by records that may be dropped: one whose sending was attempted may have arrived, so it stays.
    """

    max_bytes: float
    max_age: int | None = None
    policy: Policy = Policy.BLOCK
    retry_seconds: float = 1.0

    def judge(self, level: Level, now: int) -> Verdict:
        """Return what may happen at `now` (µs)."""
        dropping = self.policy is Policy.DROP_OLDEST
        oldest = level.droppable if dropping else level.oldest
        too_old = oldest is not None and oldest < self._horizon(now)
        if not too_old and level.bytes < self._room:
            return Verdict.TAKE
        if dropping and level.droppable is not None:
            return Verdict.DROP_FIRST
        return Verdict.WAIT

    def excess(self, level: Level, now: int) -> Excess:
        """Return what must go. Bytes go in slices, so that dropping is rare and its ranges few."""
        if level.bytes < self._room:
            return Excess(0, self._horizon(now))
        surplus = level.bytes - self._room + min(self._room / _SLICE, _LARGEST_SLICE)
        return Excess(int(surplus), self._horizon(now))

    @property
    def _room(self) -> float:
        return self.max_bytes - REPORT_BYTES

    def _horizon(self, now: int) -> int:
        return 0 if self.max_age is None else now - self.max_age
