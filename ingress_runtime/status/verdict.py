"""The words at the end: where messages wait and why. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingress_runtime.status.section import Cause, Level, Symptom, Waiting
from ingress_runtime.status.words import seconds

NOTHING_SEEN = "No process answers: nothing is known."


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst level that was seen, and sentences about it, the worst first."""

    level: Level
    sentences: tuple[str, ...]

    @property
    def words(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)


def verdict(
    symptoms: Sequence[Symptom],
    *,
    unseen: Sequence[str] = (),
    answered: bool = True,
    lasting: Mapping[str, float] | None = None,
) -> Verdict:
    """Say what the symptoms come to.

    `unseen` are processes that do not answer, in words; `answered` tells whether any did. `lasting`
    has, by a cause's key, for how many seconds it has been seen.
    """
    if not answered:
        return Verdict(Level.BAD, (NOTHING_SEEN,))
    found = _sentences(symptoms, lasting or {})
    level = max((one for one, _ in found), default=Level.WELL)
    blind = (
        f" {_listed(unseen)} {'does' if len(unseen) == 1 else 'do'} not answer." if unseen else ""
    )
    if not found:
        words = f"All flows, as far as is seen:{blind}" if blind else "All flows."
        return Verdict(Level.NOTICE if blind else Level.WELL, (words,))
    sentences = [words for _, words in sorted(found, key=lambda one: -one[0])]
    if blind:
        sentences.append(f"Not seen:{blind}")
    return Verdict(max(level, Level.NOTICE), tuple(sentences))


class Memory:
    """For how long causes have been seen without a gap."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}

    def lasting(self, symptoms: Iterable[Symptom], now: float) -> dict[str, float]:
        """Take note of what is seen at `now`; return the seconds since each was first seen."""
        keys = {one.key for one in symptoms if isinstance(one, Cause)}
        self._first = {key: self._first.get(key, now) for key in keys}
        return {key: now - first for key, first in self._first.items()}


def _sentences(
    symptoms: Sequence[Symptom], lasting: Mapping[str, float]
) -> list[tuple[Level, str]]:
    causes: dict[str, list[Cause]] = {}
    for one in symptoms:
        if isinstance(one, Cause):
            causes.setdefault(one.place, []).append(one)
    found = []
    for place, waits in _by_place(symptoms).items():
        why = sorted(causes.pop(place, ()), key=lambda one: -one.level)
        evidence = "; ".join(dict.fromkeys(one.evidence for one in waits))
        sentence = f"Messages wait {place} ({evidence})"
        if why:
            sentence += f": {'; '.join(_words(one, lasting) for one in why)}"
        levels = [one.level for one in waits] + [one.level for one in why]
        found.append((max(levels), f"{sentence}."))
    found += [
        (one.level, f"{_capital(_words(one, lasting))}.")
        for others in causes.values()
        for one in others
    ]
    return found


def _by_place(symptoms: Sequence[Symptom]) -> dict[str, list[Waiting]]:
    found: dict[str, list[Waiting]] = {}
    for one in symptoms:
        if isinstance(one, Waiting):
            found.setdefault(one.place, []).append(one)
    return found


def _words(cause: Cause, lasting: Mapping[str, float]) -> str:
    seen = lasting.get(cause.key, 0.0)
    since = f" for at least {seconds(seen)}" if seen >= 1.0 else ""
    return cause.words.replace("{since}", since)


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
