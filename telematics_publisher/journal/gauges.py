"""How the journals of this process stand, read when metrics are scraped."""

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client import Gauge

from telematics_publisher.clock import Microseconds
from telematics_publisher.journal.limits import Level


class Gauged(Protocol):
    """What is measured of a journal: see telematics_publisher.journal.journal.Journal."""

    pending: int
    level: Level

    @property
    def limit(self) -> float:
        """Bytes at which it is full."""
        ...


_watched: dict[int, tuple[Gauged, Microseconds]] = {}


def watch(journal: Gauged, now: Microseconds) -> None:
    """Count `journal` in from now on; `now` tells how old its records are."""
    _watched[id(journal)] = (journal, now)


def forget(journal: Gauged) -> None:
    """Count `journal` in no longer."""
    _watched.pop(id(journal), None)


def _gauge(name: str, text: str, read: Callable[[], float]) -> Gauge:
    gauge = Gauge(name, text)
    gauge.set_function(read)
    return gauge


def _ages() -> Iterator[float]:
    for journal, now in list(_watched.values()):
        oldest = journal.level.oldest
        yield 0.0 if oldest is None else max(0.0, (now() - oldest) / 1e6)


PENDING = _gauge(
    "publisher_journal_pending_records",
    "Journalled numbers that core has not settled yet.",
    lambda: sum(journal.pending for journal, _ in list(_watched.values())),
)
BYTES = _gauge(
    "publisher_journal_bytes",
    "Bytes of the journals' pages in use.",
    lambda: sum(journal.level.bytes for journal, _ in list(_watched.values())),
)
LIMIT = _gauge(
    "publisher_journal_limit_bytes",
    "Bytes at which the journals are full, summed up; +Inf at the end, when what was read is stored.",
    lambda: sum(journal.limit for journal, _ in list(_watched.values())),
)
OLDEST = _gauge(
    "publisher_journal_oldest_seconds",
    "Age of the oldest record that core does not have, of all journals.",
    lambda: max(_ages(), default=0.0),
)
