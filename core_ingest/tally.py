"""What became of the envelopes of a committed batch, counted for Prometheus: all at once."""

from collections import Counter as Count
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from prometheus_client import Counter

from core_ingest import hops
from core_ingest.door import Door
from core_ingest.hops import Passage
from core_ingest.item import Item
from core_ingest.outcome import OutcomeKind
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
        self._providers = frozenset(providers)

    def count(
        self, items: Sequence[Item], door: Door, passage: Passage | None, committed: int
    ) -> None:
        """Take a delivery's items into account, committed at `committed` (µs since the epoch)."""
        groups: defaultdict[tuple[str | None, OutcomeKind], list[Item]] = defaultdict(list)
        for item in items:
            groups[item.envelope.provider, item.concluded.kind].append(item)
        moved: defaultdict[str, list[Item]] = defaultdict(list)
        for (name, kind), group in groups.items():
            provider = name if name in self._providers else OTHER
            number = len(group)
            if kind is OutcomeKind.REFUSED:
                number -= sum(is_probe(item.envelope) for item in group)
            ENVELOPES.labels(door, provider, kind).inc(number)
            if kind not in hops.UNMOVED and door is not Door.REPLAY:
                moved[provider] += group
        for provider, group in moved.items():
            hops.measure(group, door, provider, passage, committed)
        _count_letters(
            [letter.reason for item in items for letter in item.dead_letters]
            + [item.control.reason for item in items if isinstance(item.control, Undeliverable)]
        )

    def count_unreadable(self, reasons: Sequence[str], door: Door) -> None:
        """Take what was no envelope into account, each by why it was none."""
        ENVELOPES.labels(door, OTHER, OutcomeKind.DEAD_LETTERED).inc(len(reasons))
        _count_letters(reasons)


def _count_letters(reasons: Iterable[str]) -> None:
    for reason, number in Count(reasons).items():
        DEAD_LETTERS.labels(_REASON(reason)).inc(number)
