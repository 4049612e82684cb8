"""Monthly UTC partitions of the history, made beforehand, standalone, and then attached.

Attaching takes no lock that inserts would wait for. There is no DEFAULT partition, since attaching
beside one scans it under an exclusive lock; everything before 2015 shares one partition. Months lie
between 2015 and the database's clock plus what an edge may be ahead of it: their number, whatever
dates and edges' clocks come, is bounded.
"""

from collections.abc import Iterable
from typing import TypeAlias

from core_ingest.errors import translated
from core_ingest.reading import LATEST, instant
from core_ingest.store.database import Connections
from core_ingest.store.queries import load

Month: TypeAlias = tuple[int, int]
"""Year and month, UTC."""

_SQL = load("core_ingest.store", "sql/identities.sql")
_FIRST_YEAR = 2015
DAY = 86_400_000_000
"""In µs."""

_AT_ONCE = 12
"""Partitions a transaction makes, so that none holds its locks for long."""


class Partitions:
    """Makes months that are not there yet; remembers those that are."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self._known: set[Month] = set()

    def forget(self) -> None:
        """Look again which months are there."""
        self._known.clear()

    async def ensure(self, days: Iterable[int]) -> None:
        """Make the partitions that facts of these days (since 1970-01-01 UTC) need."""
        missing = sorted({month for day in days if (month := _month(day))} - self._known)
        if missing:
            with translated():
                self._known |= await self._there()
                last = await self._last()
                missing = [month for month in missing if month <= last and month not in self._known]
                for start in range(0, len(missing), _AT_ONCE):
                    await self._make(missing[start : start + _AT_ONCE])
            self._known.update(missing)

    async def _there(self) -> set[Month]:
        rows = await self._pool.fetch(_SQL["months"])
        parts = [row["relname"].removeprefix("history_").split("_") for row in rows]
        return {(int(part[0]), int(part[1])) for part in parts if part[0].isdigit()}

    async def _last(self) -> Month:
        """Return the last month that the handler can admit a fact of."""
        horizon: int = await self._pool.fetchval(_SQL["horizon"])
        at = instant(min(horizon, LATEST))
        return at.year, at.month

    async def _make(self, months: list[Month]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["lock_partitions"])
            there = {row["relname"] for row in await connection.fetch(_SQL["months"])}
            for month in months:
                if _table(month) not in there:
                    await connection.execute(_ddl(month))


def _month(day: int) -> Month | None:
    """Return the month of a day since 1970, or None if the partition of old days holds it."""
    at = instant(day * DAY)
    return (at.year, at.month) if at.year >= _FIRST_YEAR else None


def _table(month: Month) -> str:
    return f"history_{month[0]:04}_{month[1]:02}"


def _ddl(month: Month) -> str:
    year, number = month
    after = (year, number + 1) if number < 12 else (year + 1, 1)  # noqa: PLR2004 — months a year
    table = _table(month)
    return (
        f"CREATE TABLE {table} (LIKE history INCLUDING INDEXES INCLUDING STORAGE);"
        f"ALTER TABLE history ATTACH PARTITION {table} FOR VALUES "
        f"FROM ('{year:04}-{number:02}-01 00:00:00+00') TO ('{after[0]:04}-{after[1]:02}-01 00:00:00+00')"
    )
