"""Looks at the ledger of all workspaces from time to time, for the gauges."""

from collections.abc import Callable, Sequence
from time import monotonic, time

import asyncpg
import structlog
from prometheus_client import Gauge

from core_ingest.errors import StoreUnavailable, translated
from core_ingest.ledger.accounting import outstanding
from core_ingest.store.queries import load
from ingress_runtime.labels import OTHER

UNACCOUNTED = Gauge(
    "core_ingest_unaccounted_messages",
    "Messages of all workspaces that a publisher vouched for and core never saw: must be 0.",
)
STRANDED = Gauge(
    "core_ingest_stranded_messages",
    "Messages in flight of epochs that no checkpoint has named for 15 minutes, by whatever route.",
)
IN_FLIGHT = Gauge(
    "core_ingest_in_flight_messages",
    "Messages of all workspaces that were handed out and are not settled, the stranded included.",
)
ROWS_WAITING = Gauge(
    "core_ingest_settlement_rows_waiting",
    "Appended settlement rows that were not folded at the last look, a million at most.",
)
LETTERS_WAITING = Gauge(
    "core_ingest_dead_letters_waiting",
    "Dead letters that wait to be replayed or discarded, by the 30 most frequent reasons.",
    ("reason",),
)
LOOKED = Gauge(
    "core_ingest_ledger_looked_timestamp_seconds",
    "When the ledger was last looked at, in seconds since 1970; 0 until then.",
)

REASONS = 30
"""Reasons that have a series of their own."""

_MOST_ROWS = 1_000_000
_LEDGER = load("core_ingest.ledger", "ledger.sql")
_LETTERS = load("core_ingest.dead_letters", "dead_letters.sql")

log = structlog.get_logger()


class Watch:
    """Sets the gauges, at most once in so many seconds; any number of processes may.

    A look that fails changes nothing: values and their time stay, and the next one tries again.
    `clock` paces the looks, `wall` tells their time.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        seconds: float,
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self._pool = pool
        self._seconds = seconds
        self._clock = clock
        self._wall = wall
        self._due = clock()
        self._reasons: set[str] = set()
        LETTERS_WAITING.clear()  # of a former one's ledger
        LETTERS_WAITING.labels(OTHER)

    async def look(self) -> None:
        """Look if it is time to. Never raises what a database or the data in it can cause."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + self._seconds
        try:
            await self._look()
        except StoreUnavailable:  # the compactor tells of it
            pass
        except Exception:  # of the gauges, which nothing depends on
            log.exception("ledger_look_failed")

    async def _look(self) -> None:
        with translated(repeated=False):
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                terms = await outstanding(connection)
                waiting = await connection.fetchval(_LEDGER["settlements_waiting"], _MOST_ROWS)
                letters = await connection.fetch(_LETTERS["waiting"])
        UNACCOUNTED.set(terms["unaccounted"])
        STRANDED.set(terms["stranded"])
        IN_FLIGHT.set(terms["in_flight"])
        ROWS_WAITING.set(waiting)
        self._tell([(row["reason"], row["letters"]) for row in letters])
        LOOKED.set(self._wall())

    def _tell(self, letters: Sequence[tuple[str, int]]) -> None:
        """Set the gauges of the reasons, the most frequent of which come first.

        A reason that waits no more loses its series only after the others have their values: a
        scrape may come meanwhile.
        """
        named = [(reason, number) for reason, number in letters if reason != OTHER][:REASONS]
        for reason, number in named:
            LETTERS_WAITING.labels(reason).set(number)
        rest = sum(number for _, number in letters) - sum(number for _, number in named)
        LETTERS_WAITING.labels(OTHER).set(rest)
        gone = self._reasons - {reason for reason, _ in named}
        for reason in gone:
            LETTERS_WAITING.remove(reason)
        self._reasons = {reason for reason, _ in named}
