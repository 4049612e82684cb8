"""The read side: snapshots from `latest`, history, both a few set-wise statements a request."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from core_api import documents
from core_api.documents import HistoryPage, Vehicle, VehiclePage
from core_api.store import borrowed, retryable
from core_ingest.ledger.accounting import Accounting, account
from core_ingest.ledger.shadow_report import ShadowReport, report
from core_ingest.store.database import Connection
from core_ingest.store.queries import load

_SQL = load("core_api", "sql/reads.sql")
_BEFORE_ALL = UUID(int=0)
_TICK = timedelta(microseconds=1)  # the resolution of a timestamp in Postgres


class NoSuchWorkspace(LookupError):
    """No workspace has this name."""


class NoSuchVehicle(LookupError):
    """The workspace has no vehicle with this id."""


class NoSuchSignal(LookupError):
    """Nobody has ever sent a signal of this name."""


class ReadsFull(Exception):
    """As many reads are waiting as may."""


class Reads:
    """Reads of one database, at most `connections` at once, each within `seconds`.

    For each connection at most eight reads wait. Every method raises NoSuchWorkspace, ReadsFull,
    and StoreUnavailable where the database is away.
    """

    _WAITING_EACH = 8

    def __init__(self, pool: asyncpg.Pool, *, connections: int, seconds: float) -> None:
        self._pool = pool
        self._slots = asyncio.Semaphore(connections)
        self._most = connections * (1 + self._WAITING_EACH)
        self._reads = 0
        self._seconds = seconds

    async def vehicles(
        self, workspace: str, *, external_ids: Sequence[str] = (), after: UUID | None, limit: int
    ) -> VehiclePage:
        """Return at most `limit` vehicles with ids after `after`.

        Where there are `external_ids`, only those which some provider knows by one of them.
        """
        statement, only = (
            ("vehicle_page_of", [external_ids]) if external_ids else ("vehicle_page", [])
        )
        async with self._workspace(workspace) as (connection, id_):
            page = await connection.fetch(
                _SQL[statement], id_, after or _BEFORE_ALL, limit + 1, *only, timeout=self._seconds
            )
            ids = [row["vehicle"] for row in page[:limit]]
            rows = await connection.fetch(_SQL["snapshots"], id_, ids, timeout=self._seconds)
        return VehiclePage.model_construct(
            vehicles=documents.vehicles(rows), next=str(ids[-1]) if len(page) > limit else None
        )

    async def vehicle(self, workspace: str, vehicle: UUID) -> Vehicle:
        """Return one vehicle. Raises NoSuchVehicle."""
        async with self._workspace(workspace) as (connection, id_):
            rows = await connection.fetch(_SQL["snapshots"], id_, [vehicle], timeout=self._seconds)
        found = documents.vehicles(rows)
        if not found:
            raise NoSuchVehicle(str(vehicle))
        return found[0]

    async def history(  # noqa: PLR0913 — a range of a signal has this many coordinates
        self,
        workspace: str,
        vehicle: UUID,
        signal: str,
        *,
        start: datetime,
        end: datetime,
        after: datetime | None,
        limit: int,
    ) -> HistoryPage:
        """Return at most `limit` instants of `signal` in [start, end), those after `after`.

        Raises NoSuchVehicle and NoSuchSignal.
        """
        begin = _begin(start, end, after)
        async with self._workspace(workspace) as (connection, id_):
            rows = await connection.fetch(
                _SQL["history_page"], id_, vehicle, signal, begin, end, limit + 1,
                timeout=self._seconds,
            )  # fmt: skip
            if not rows:
                await self._say_what_is_unknown(connection, id_, vehicle, signal)
        return HistoryPage.model_construct(
            vehicle=vehicle,
            signal=signal,
            unit=documents.unit_of(signal),
            readings=[documents.reading(row) for row in rows[:limit]],
            next=cursor(rows[limit - 1]["observed"]) if len(rows) > limit else None,
        )

    async def accounting(self, workspace: str) -> Accounting:
        """Return what became of every message of a workspace."""
        async with self._slot():
            async with borrowed(self._pool, self._seconds) as connection:
                await self._find(connection, workspace)
            with retryable():
                return await account(self._pool, workspace)

    async def shadow(
        self, workspace: str, publisher: str | None, *, start: datetime, end: datetime, least: int
    ) -> ShadowReport:
        """Return what came by HTTP, Kafka or both in [start, end), grown to whole slots."""
        async with self._slot():
            async with borrowed(self._pool, self._seconds) as connection:
                await self._find(connection, workspace)
            with retryable():
                [found] = await report(
                    self._pool,
                    workspace,
                    publisher=publisher,
                    since=start,
                    until=end,
                    least=least,
                )
                return found

    async def _say_what_is_unknown(
        self,
        connection: Connection,
        workspace: int,
        vehicle: UUID,
        signal: str,
    ) -> None:
        if not await connection.fetchval(_SQL["vehicle_exists"], workspace, vehicle):
            raise NoSuchVehicle(str(vehicle))
        if documents.unit_of(signal) is None and not await connection.fetchval(
            _SQL["signal_exists"], signal
        ):
            raise NoSuchSignal(signal)

    @asynccontextmanager
    async def _workspace(self, name: str) -> AsyncIterator[tuple[Connection, int]]:
        async with self._slot(), borrowed(self._pool, self._seconds) as connection:
            yield connection, await self._find(connection, name)

    async def _find(self, connection: Connection, workspace: str) -> int:
        id_: int | None = await connection.fetchval(
            _SQL["find_workspace"], workspace, timeout=self._seconds
        )
        if id_ is None:
            raise NoSuchWorkspace(workspace)
        return id_

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Return a turn like that of a read, for one connection. Entering it raises ReadsFull."""
        return self._slot()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._reads >= self._most:
            raise ReadsFull
        self._reads += 1
        try:
            async with self._slots:
                yield
        finally:
            self._reads -= 1


def _begin(start: datetime, end: datetime, after: datetime | None) -> datetime:
    if after is None:
        return start
    return end if after >= end else max(start, after + _TICK)


def cursor(observed: datetime) -> str:
    """Return an instant (UTC) as it stands in a cursor: RFC 3339 with a Z, which URLs keep."""
    return observed.isoformat().replace("+00:00", "Z")
