"""How old messages are at each hop on their way into core, measured on the messages themselves.

```
 provider's time ── provider ──▶ receivedtime ── publisher ──▶ sent ── transport ──▶ arrived ── core ──▶ committed
```

Instants are µs since the epoch, each by the clock of whoever stood there: a skew between two of them
lengthens one hop and shortens the next. What was stored before (duplicates) and what comes again
(replays) waited for nobody, and is left out; so are control messages.

A delivery is measured at once. Of a large one every n-th message is measured, and counts n times: its
messages come from one moment, and this runs where the handler's own time for a message is some 15 µs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import sub
from typing import NamedTuple

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

READ = frozenset(
    {OutcomeKind.ACCEPTED, OutcomeKind.UNCHANGED, OutcomeKind.CONFLICT, OutcomeKind.STALE}
)
"""Outcomes of messages that waited, and whose readings tell how old they are."""

_MOST_MEASURED = 250
"""Messages of a delivery that are measured one by one; of twice as many it is every second."""

UNREAD = frozenset({OutcomeKind.EMPTY, OutcomeKind.QUARANTINED, OutcomeKind.DEAD_LETTERED})
"""Outcomes of those that waited, but have no readings, or none that can be believed."""


@dataclass(frozen=True, slots=True)
class Passage:
    """When a delivery arrived at core's door, and when its envelopes had been sent there (µs).

    `sent` has one instant for each envelope, or one for all of them, or none where nobody said.
    """

    arrived: int
    sent: Sequence[int] = ()

    @property
    def sendings(self) -> Sequence[int]:
        """When each envelope was sent, where that differs."""
        return self.sent if len(self.sent) > 1 else ()


class _Measured(NamedTuple):
    """The histograms of one door and provider."""

    provider: Histogram
    publisher: Histogram
    transport: Histogram
    core: Histogram
    freshness: Histogram
    delivery: Histogram


@cache
def _measured(door: Door, provider: str) -> _Measured:
    return _Measured(
        provider=HOPS.labels("provider", door, provider),
        publisher=HOPS.labels("publisher", door, provider),
        transport=HOPS.labels("transport", door, provider),
        core=HOPS.labels("core", door, provider),
        freshness=FRESHNESS.labels(door, provider),
        delivery=DELIVERY.labels(door, provider),
    )


def measure(  # noqa: PLR0913, PLR0917 — whose, and when
    read: Sequence[Item],
    unread: Sequence[Item],
    door: Door,
    provider: str,
    passage: Passage | None,
    committed: int,
) -> None:
    """Measure messages of one delivery and provider that were committed at `committed` (µs).

    `read` have outcomes of READ, `unread` of UNREAD; the door and provider are labels, so few.
    """
    measured = _measured(door, provider)
    each = 1 + (len(read) + len(unread)) // _MOST_MEASURED
    read, unread = read[::each], unread[::each]
    observed = [
        item.readings[0].observed  # type: ignore[union-attr] # of one reading only: no Rejected
        if len(item.readings) == 1
        else _newest(item)
        for item in read
    ]
    received = [item.received for item in read]
    measured.provider.observe_since(sorted(map(sub, observed, received)), 0, each)
    measured.freshness.observe_since(sorted(observed), committed, each)
    received += [item.received for item in unread]
    if passage is not None:
        measured.core.observe_many(committed - passage.arrived, len(received) * each)
        _measure_sending(measured, received, [*read, *unread], passage, each)
    received.sort()
    measured.delivery.observe_since(received, committed, each)


def _measure_sending(
    measured: _Measured,
    received: Sequence[int],
    items: Sequence[Item],
    passage: Passage,
    each: int,
) -> None:
    """Measure the two hops beside the time of sending; it is one for all, or one for each."""
    if len(passage.sent) == 1:
        (sent,) = passage.sent
        measured.publisher.observe_since(sorted(received), sent, each)
        measured.transport.observe_many(passage.arrived - sent, len(items) * each)
    elif passage.sent:
        sendings = [item.sent or passage.arrived for item in items]
        measured.publisher.observe_since(sorted(map(sub, received, sendings)), 0, each)
        measured.transport.observe_since(sorted(sendings), passage.arrived, each)


def _newest(item: Item) -> int:
    """Return when the newest reading was taken."""
    return max(one.observed for one in item.readings if type(one) is Reading)
