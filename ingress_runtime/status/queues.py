"""Queues that rooms have, as rows of one table: how full each is, and what holds it up. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ingress_runtime.status.section import (
    Bytes,
    Column,
    Level,
    Section,
    Symptom,
    Table,
    Unit,
    Value,
)

HELD_SHARE = 0.1
"""A queue that is held up for more than this share of the time is marked."""

FULL_SHARE = 0.8
"""A queue that is fuller than this is marked."""

_COLUMNS = (
    Column("queue", "queue"),
    Column("used", "used", Unit.NUMBER),
    Column("limit", "limit", Unit.NUMBER),
    Column("full", "full", Unit.SHARE),
    Column("held", "held", Unit.SHARE),
    Column("reason", "reason"),
)


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue: how much of its limit is used, and by reason, the share of time it was held up.

    Its measure is a number of things, or `sized` in bytes.

    The shares of several workspaces add up, so they may exceed 1.
    """

    name: str
    used: float | None = None
    limit: float | None = None
    held: Mapping[str, float] = field(default_factory=dict)
    sized: bool = False

    @property
    def full(self) -> float | None:
        """Return the share of the limit that is used; None where either is unknown."""
        return self.used / self.limit if self.used is not None and self.limit else None


def section(queues: Iterable[Queue], symptoms: Iterable[Symptom] = ()) -> Section:
    """Return the part of the section about backpressure that a room contributes."""
    rows: list[tuple[Value, ...]] = []
    levels: list[tuple[int, Level]] = []
    for queue in queues:
        used, limit = (_sized(queue, each) for each in (queue.used, queue.limit))
        for reason, share in _held(queue):
            if (share or 0.0) > HELD_SHARE or (queue.full or 0.0) > FULL_SHARE:
                levels.append((len(rows), Level.NOTICE))
            rows.append((queue.name, used, limit, queue.full, share, reason))
    table = Table("queues", _COLUMNS, tuple(rows), tuple(levels))
    return Section("backpressure", "backpressure", (), (table,) if rows else (), tuple(symptoms))


def _sized(queue: Queue, value: float | None) -> Value:
    return value if value is None or not queue.sized else Bytes(value)


def _held(queue: Queue) -> Iterator[tuple[str, float | None]]:
    reasons = {reason: share for reason, share in queue.held.items() if share}
    if reasons:
        yield from sorted(reasons.items(), key=lambda one: -one[1])
    else:
        yield "", 0.0 if queue.held else None
