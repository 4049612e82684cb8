"""The pool of connections, measured: how long statements take, and how long one waits for a connection.

Measured at the driver's methods, so no caller has to. Times are those of this process: what a
statement takes in the database, on the wire, and until the event loop comes back to it.
"""

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any
from weakref import ref

import asyncpg
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy
from prometheus_client import Gauge, Histogram

from core_ingest.store.queries import name_of

STATEMENT_SECONDS = Histogram(
    "core_ingest_statement_seconds",
    "Time of a statement by its file and name, with begin, commit, copy and the like.",
    ("statement",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
ACQUIRE_SECONDS = Histogram(
    "core_ingest_database_acquire_seconds",
    "Time that a caller waited for a connection of the pool, also where it got none.",
    buckets=(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30),
)
CONNECTIONS = Gauge(
    "core_ingest_database_connections",
    "Open connections of the pool: in use, or idle.",
    ("state",),
)
CONNECTIONS_LIMIT = Gauge(
    "core_ingest_database_connections_limit", "Most connections that the pool opens."
)

_OF_THE_DRIVER = {
    "BEGIN": "begin",
    "COMMIT": "commit",
    "ROLLBACK TO": "savepoint",
    "ROLLBACK": "rollback",
    "SAVEPOINT": "savepoint",
    "RELEASE": "savepoint",
    "SELECT pg_advisory_unlock_all": "reset",
}
"""What the driver sends by itself, by its beginning: savepoints have names of their own."""

_OTHER = "other"
_UNLIKE = {"savepoint", _OTHER}
"""Their texts may be without number: they are not remembered."""

_MAX_QUERIES = 50_000
_IDLE_SECONDS = 300.0


class MeasuredConnection(asyncpg.Connection):
    """A connection that observes how long its statements take, those that fail too.

    Cursors are not measured: their rows come while the caller works.
    """

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        """See asyncpg.Connection."""
        with _measured(query):
            return await super().execute(query, *args, **options)

    async def executemany(self, command: str, args: Any, **options: Any) -> Any:
        """See asyncpg.Connection; all rows are one observation."""
        with _measured(command):
            return await super().executemany(command, args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """See asyncpg.Connection."""
        with _measured(query):
            return await super().fetch(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """See asyncpg.Connection."""
        with _measured(query):
            return await super().fetchval(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """See asyncpg.Connection."""
        with _measured(query):
            return await super().fetchrow(query, *args, **options)

    async def copy_to_table(self, table_name: str, **options: Any) -> Any:
        """See asyncpg.Connection."""
        with _Measured(STATEMENT_SECONDS.labels(f"copy.{table_name}")):
            return await super().copy_to_table(table_name, **options)


class _Measured:
    """Observes how long its block took."""

    __slots__ = ("_histogram", "_started")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._histogram.observe(perf_counter() - self._started)


_histograms: dict[str, Histogram] = {}


def _measured(text: str) -> _Measured:
    histogram = _histograms.get(text)
    if histogram is None:
        name = name_of(text) or _name_of_others(text)
        histogram = STATEMENT_SECONDS.labels(name)
        if name not in _UNLIKE:
            _histograms[text] = histogram
    return _Measured(histogram)


def _name_of_others(text: str) -> str:
    found = (name for start, name in _OF_THE_DRIVER.items() if text.startswith(start))
    return next(found, _OTHER)


class Pool(asyncpg.Pool):
    """A pool that measures its connections and the wait for them, and shows in the gauges."""

    def __init__(self, url: str, *, min_size: int, max_size: int, **options: Any) -> None:
        super().__init__(
            url,
            min_size=min_size,
            max_size=max_size,
            max_queries=_MAX_QUERIES,
            max_inactive_connection_lifetime=_IDLE_SECONDS,
            loop=None,
            connection_class=MeasuredConnection,
            record_class=asyncpg.Record,
            **options,
        )
        _pools.add(self)

    def acquire(self, *, timeout: float | None = None) -> PoolAcquireContext:
        """Lend a connection for the length of a block. See asyncpg.Pool."""
        return _Acquisition(self, timeout)


class _Acquisition(PoolAcquireContext):
    async def __aenter__(self) -> PoolConnectionProxy:
        with _Measured(ACQUIRE_SECONDS):
            return await super().__aenter__()


class _Pools:
    """The pools of this process. Scrapes look at them from other threads."""

    def __init__(self) -> None:
        self._refs: tuple[ref[Pool], ...] = ()

    def add(self, pool: Pool) -> None:
        """Show this one from now on, until it is closed."""
        self._refs = (*(one for one in self._refs if _open(one)), ref(pool))

    def sum(self, figure: Callable[[Pool], int]) -> float:
        """Return the sum of a figure of all that are open."""
        return float(sum(figure(pool) for one in self._refs if (pool := _open(one)) is not None))


def _open(one: "ref[Pool]") -> Pool | None:
    pool = one()
    return None if pool is None or pool.is_closing() else pool


_pools = _Pools()
CONNECTIONS.labels("idle").set_function(lambda: _pools.sum(Pool.get_idle_size))
CONNECTIONS.labels("in_use").set_function(
    lambda: _pools.sum(lambda pool: pool.get_size() - pool.get_idle_size())
)
CONNECTIONS_LIMIT.set_function(lambda: _pools.sum(Pool.get_max_size))
