"""How old messages are at each hop on their way into core, measured on the messages themselves.

```
 provider's time ── provider ──▶ receivedtime ── publisher ──▶ sent ── transport ──▶ arrived ── core ──▶ committed
```

Instants are µs since the epoch, each by the clock of whoever stood there: a skew between two of them
lengthens one hop and shortens the next. What was stored before (duplicates) and what comes again
(replays) waited for nobody, and is left out; so are control messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

from core_ingest.door import Door
from core_ingest.item import Item
from core_ingest.outcome import OutcomeKind
from core_ingest.reading import Reading
from ingress_runtime.histograms import Histogram

BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 7.5),
    *(10, 15, 30, 60, 120, 300, 900, 3_600, 86_400),
)
"""Upper bounds (s); fine about a second, where a delay begins to be felt."""

HOPS = Histogram(
    "core_ingest_hop_seconds",
    "Time that messages spent at a hop of their way: provider, publisher, transport or core.",
    ("hop", "door", "provider"),
    buckets=BOUNDS,
)
FRESHNESS = Histogram(
    "core_ingest_freshness_seconds",
    "Time from a message's newest reading, by the provider's clock, until it was committed.",
    ("door", "provider"),
    buckets=BOUNDS,
)
DELIVERY = Histogram(
    "core_ingest_delivery_seconds",
    "Time from a message's receipt at the edge (receivedtime) until it was committed.",
    ("door", "provider"),
    buckets=BOUNDS,
)

UNMOVED = frozenset({OutcomeKind.CONTROL, OutcomeKind.DUPLICATE, OutcomeKind.REFUSED})
"""Outcomes of envelopes that are left out."""


@dataclass(frozen=True, slots=True)
class Passage:
    """When a delivery arrived at core's door, and when its envelopes had been sent there (µs).

    `sent` has one instant for each envelope, or one for all of them, or none where nobody said.
    """

    arrived: int
    sent: Sequence[int] = ()

    def sendings(self, number: int) -> Sequence[int | None]:
        """Return when each of so many envelopes was sent."""
        if len(self.sent) == number:
            return self.sent
        return list(repeat(self.sent[0] if self.sent else None, number))


def measure(
    items: Sequence[Item], door: Door, provider: str, passage: Passage | None, committed: int
) -> None:
    """Measure items of one delivery and provider that were committed at `committed` (µs)."""
    received = sorted([item.received for item in items])
    DELIVERY.labels(door, provider).observe_since(received, committed)
    read = [item for item in items if item.readings and not _is_future(item)]
    observed = [_newest(item) for item in read]
    HOPS.labels("provider", door, provider).observe_all(
        [max(0, item.received - at) for item, at in zip(read, observed, strict=True)]
    )
    FRESHNESS.labels(door, provider).observe_since(sorted(observed), committed)
    if passage is None:
        return
    HOPS.labels("core", door, provider).observe_many(committed - passage.arrived, len(items))
    sendings = [(item.sent, item.received) for item in items if item.sent is not None]
    HOPS.labels("publisher", door, provider).observe_all(
        [max(0, sent - received_) for sent, received_ in sendings]
    )
    HOPS.labels("transport", door, provider).observe_since(
        sorted([sent for sent, _ in sendings]), passage.arrived
    )


def _is_future(item: Item) -> bool:
    return item.concluded.kind is OutcomeKind.QUARANTINED


def _newest(item: Item) -> int:
    """Return when the newest reading was taken."""
    first = item.readings[0]
    if len(item.readings) == 1 and type(first) is Reading:
        return first.observed
    return max(one.observed for one in item.readings if type(one) is Reading)
