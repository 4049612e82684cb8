"""What became of the envelopes of a committed batch, counted for Prometheus: all at once."""

from collections import Counter as Count
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

from prometheus_client import Counter

from core_ingest import hops
from core_ingest.door import Door
from core_ingest.hops import Passage
from core_ingest.item import Item
from core_ingest.outcome import Outcome, OutcomeKind
from ingress_contracts.control import Undeliverable
from ingress_contracts.probe import is_probe
from ingress_runtime.labels import OTHER, Bounded

ENVELOPES = Counter(
    "core_ingest_envelopes_total",
    "Envelopes by what became of them, once that is committed; probes of a key are left out.",
    ("door", "provider", "outcome"),
)
DEAD_LETTERS = Counter(
    "core_ingest_dead_letters_total",
    "Dead letters written by a batch, those that were there before too, by reason.",
    ("reason",),
)

_REASON = Bounded(100)


class Tally:
    """Counts and measures batches. Providers that are not among `providers` are `other`."""

    def __init__(self, providers: Collection[str]) -> None:
        self._labels = {name: name for name in providers}

    def count(
        self,
        items: Sequence[Item],
        outcomes: Sequence[Outcome],
        door: Door,
        passage: Passage | None,
        committed: int,
    ) -> None:
        """Take a delivery's items into account, committed at `committed` (µs since the epoch)."""
        kinds = [outcome.kind for outcome in outcomes]
        providers = [item.envelope.provider for item in items]
        groups = _groups(providers, kinds)
        for (name, kind), number in groups.items():
            probes = _probes(items, name) if kind is OutcomeKind.REFUSED else 0
            _envelopes(door, self._label(name), kind).inc(number - probes)
        if door is not Door.REPLAY:
            for provider, (read, unread) in self._waited(items, providers, kinds, groups).items():
                hops.measure(read, unread, door, provider, passage, committed)
        _count_letters(
            [letter.reason for item in items if item.dead_letters for letter in item.dead_letters]
        )
        _count_letters(
            [
                item.control.reason
                for item in items
                if item.is_control and isinstance(item.control, Undeliverable)
            ]
        )

    def count_unreadable(self, reasons: Sequence[str], door: Door) -> None:
        """Take what was no envelope into account, each by why it was none."""
        _envelopes(door, OTHER, OutcomeKind.DEAD_LETTERED).inc(len(reasons))
        _count_letters(reasons)

    def _label(self, provider: str | None) -> str:
        return self._labels.get(provider or "", OTHER)

    def _waited(
        self,
        items: Sequence[Item],
        providers: Sequence[str | None],
        kinds: Sequence[OutcomeKind],
        groups: Collection[tuple[str | None, OutcomeKind]],
    ) -> Mapping[str, tuple[Sequence[Item], Sequence[Item]]]:
        """Return by provider what waited: messages that were read, and others."""
        names = {name for name, _ in groups}
        if len(names) == 1 and all(kind in hops.READ for _, kind in groups):
            return {self._label(providers[0]): (items, ())}  # nearly every batch
        found: defaultdict[str, tuple[list[Item], list[Item]]] = defaultdict(lambda: ([], []))
        for item, name, kind in zip(items, providers, kinds, strict=True):
            if kind in hops.READ:
                found[self._label(name)][0].append(item)
            elif kind in hops.UNREAD:
                found[self._label(name)][1].append(item)
        return found


def _groups(
    providers: Sequence[str | None], kinds: Sequence[OutcomeKind]
) -> Mapping[tuple[str | None, OutcomeKind], int]:
    """Return how many there are of each provider and outcome."""
    names = set(providers)
    if len(names) == 1:  # pairs are dear to count
        (name,) = names
        return {(name, kind): number for kind, number in Count(kinds).items()}
    return Count(zip(providers, kinds, strict=True))


@cache
def _envelopes(door: Door, provider: str, kind: OutcomeKind) -> Counter:
    return ENVELOPES.labels(door, provider, kind)


def _probes(items: Iterable[Item], provider: str | None) -> int:
    return sum(item.envelope.provider == provider and is_probe(item.envelope) for item in items)


def _count_letters(reasons: Iterable[str]) -> None:
    for reason, number in Count(reasons).items():
        DEAD_LETTERS.labels(_REASON(reason)).inc(number)
