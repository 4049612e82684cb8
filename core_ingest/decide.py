"""What becomes of each reading: a pure function of the readings, the newest facts and the skew.

History is the set of admitted facts and `latest` its maximum by (observed, value). So nothing that
is newer than the newest fact of its signal can be stored already, and only the others need to be
looked up: in the usual case, where data come in order, nothing is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from core_ingest.outcome import OutcomeKind
from core_ingest.reading import Value, order
from core_ingest.signals.catalogue import Signal

Key: TypeAlias = tuple[int, int, int]
"""Workspace, asset and signal, as the database numbers them."""

Instant: TypeAlias = tuple[int, int, int, int]
"""Workspace, asset, signal and observed (µs)."""


class Candidate(NamedTuple):
    """A reading with its key. `received` (µs) is when the edge took it in."""

    key: Key
    observed: int
    received: int
    value: Value
    quality: int
    signal: Signal


class Mark(NamedTuple):
    """The newest fact of a key, and the last value that was significant."""

    observed: int
    value: Value
    significant: Value


class Raised(NamedTuple):
    """The fact that became the newest of its key, and the last value that was significant."""

    fact: Candidate
    significant: Value


@dataclass(slots=True)
class Decision:
    """Verdicts in the order of the candidates, the facts to add, and the newest ones by key."""

    verdicts: list[OutcomeKind]
    facts: list[Candidate]
    raised: dict[Key, Raised]


def lookups(candidates: Iterable[Candidate], marks: dict[Key, Mark]) -> set[Instant]:
    """Return the instants at which a fact may be stored already."""
    return {
        (*candidate.key, candidate.observed)
        for candidate in candidates
        if (mark := marks.get(candidate.key)) is not None and candidate.observed <= mark.observed
    }


def decide(
    candidates: Iterable[Candidate],
    marks: dict[Key, Mark],
    stored: dict[Instant, list[Value]],
    skew: int,
) -> Decision:
    """Judge `candidates` one after the other, each in the light of those before it.

    `marks` are the newest facts of all their keys, `stored` the facts at all of `lookups`, `skew`
    is in µs. Neither is changed.
    """
    decision = Decision([], [], {})
    verdicts, facts, raised = decision.verdicts, decision.facts, decision.raised
    newest = dict(marks)
    instants = {at: list(values) for at, values in stored.items()}
    noted = 0  # facts that are in `instants`: only what is not newer than all before looks there
    for candidate in candidates:
        key, observed, received, value, _, signal = candidate
        mark = newest.get(key)
        if mark is None or observed > mark.observed:
            if observed > received + skew:
                verdicts.append(OutcomeKind.QUARANTINED)
                continue
            verdict = OutcomeKind.ACCEPTED
            significant = value
            if mark is not None and signal.insignificant(value, mark.significant):
                verdict = OutcomeKind.UNCHANGED
                significant = mark.significant
            newest[key] = Mark(observed, value, significant)
            raised[key] = Raised(candidate, significant)
        else:
            for fact in facts[noted:]:
                instants.setdefault((*fact.key, fact.observed), []).append(fact.value)
            noted = len(facts)
            values = instants.setdefault((*key, observed), [])
            if observed == mark.observed and mark.value not in values:
                values.append(mark.value)  # its history may have been dropped by a retention rule
            if value in values:
                verdicts.append(OutcomeKind.DUPLICATE)
                continue
            if observed > received + skew:
                verdicts.append(OutcomeKind.QUARANTINED)
                continue
            verdict = OutcomeKind.CONFLICT if values else OutcomeKind.STALE
            if observed == mark.observed and order(value) > order(mark.value):
                small = signal.insignificant(value, mark.significant)
                significant = mark.significant if small else value
                newest[key] = Mark(observed, value, significant)
                raised[key] = Raised(candidate, significant)
        verdicts.append(verdict)
        facts.append(candidate)
    return decision
