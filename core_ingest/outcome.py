"""What became of an envelope. Outcomes are values; only what a retry could mend is raised."""

from dataclasses import dataclass
from enum import StrEnum


class OutcomeKind(StrEnum):
    """One word for what became of an envelope, or of one reading in it.

    The first seven are a reading's verdicts in order of rank: an envelope's outcome is the best of
    its readings'. `refused` envelopes are not settled: their sender must do something about them.
    """

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    STALE = "stale"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    EMPTY = "empty"
    DEAD_LETTERED = "dead_lettered"
    CONTROL = "control"
    REFUSED = "refused"

    __hash__ = str.__hash__
    """Enum's own is written in Python, and this is a key for every message."""


RANK = {kind: rank for rank, kind in enumerate(OutcomeKind)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`kind`, and for a dead letter or a refusal the snake_case `reason`."""

    kind: OutcomeKind
    reason: str | None = None


PLAIN = {kind: Outcome(kind) for kind in OutcomeKind}
