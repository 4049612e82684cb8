"""The handler's transaction: each method is one named statement over a whole batch."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from core_ingest.decide import Candidate, Instant, Key, Mark, Raised
from core_ingest.errors import UNIQUE_VIOLATION, Contention, DataRefused, translated
from core_ingest.ledger.settlements import Settlement
from core_ingest.reading import Value, columns, instant, of_columns, order
from core_ingest.store.database import Connection
from core_ingest.store.queries import load

_SQL = load("core_ingest.store", "sql/ingest.sql")

AssetKey: TypeAlias = tuple[int, int]
"""Workspace and asset, as the database numbers them."""


_HISTORY = (
    "workspace", "asset", "signal", "observed", "received", "quality", "num", "lon", "text",
)  # fmt: skip


class Transaction:
    """An open transaction. All raise what `errors.translated` makes of the driver's exceptions."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what happened inside if it raises, and raise on."""
        async with self.connection.transaction():
            yield

    async def limits(self) -> tuple[int, int]:
        """Return the database's clock and the skew, in µs."""
        with translated():
            row = await self.connection.fetchrow(_SQL["limits"])
        if row is None:
            raise LookupError("table ingest_limits is empty; it must hold its one row")
        return row["now"], round(row["skew_seconds"] * 1_000_000)

    async def lock(self, assets: Iterable[AssetKey]) -> None:
        """Lock assets in key order until the end of the transaction.

        Raises DataRefused if some are not there: the database is not the one that numbered them.
        """
        ordered = sorted(set(assets))
        with translated():
            locked = await self.connection.fetchval(_SQL["lock_assets"], *_transposed(ordered, 2))
        if locked != len(ordered):
            raise DataRefused("23503", "the database lacks assets that it had: was it restored?")

    async def marks(self, keys: Iterable[Key]) -> dict[Key, Mark]:
        """Return the newest facts of `keys`, as far as there are any."""
        with translated():
            rows = await self.connection.fetch(_SQL["marks"], *_transposed(sorted(keys), 3))
        return {
            (workspace, asset, signal): Mark(
                observed, of_columns(num, lon, text), of_columns(*significant)
            )
            for workspace, asset, signal, observed, num, lon, text, *significant in rows
        }

    async def stored(self, instants: set[Instant]) -> dict[Instant, list[Value]]:
        """Return the values of the facts at `instants`."""
        found: dict[Instant, list[Value]] = {}
        if instants:
            with translated():
                rows = await self.connection.fetch(
                    _SQL["stored"], *_transposed(sorted(instants), 4)
                )
            for workspace, asset, signal, observed, num, lon, text in rows:
                at = (workspace, asset, signal, observed)
                found.setdefault(at, []).append(of_columns(num, lon, text))
        return found

    async def append_history(self, facts: Sequence[Candidate]) -> None:
        """Add facts, sorted by their full key, by COPY: half the cost of an insert.

        Under the locks of their assets none of them can be there. Should one be, because somebody
        wrote past the locks, the key refuses the batch and a repetition finds it (Contention).
        """
        if not facts:
            return
        rows = [
            (
                *fact.key,
                instant(fact.observed),
                instant(fact.received),
                fact.quality,
                *columns(fact.value),
            )
            for fact in sorted(facts, key=_full_key)
        ]
        try:
            with translated():
                await self.connection.copy_records_to_table(
                    "history", records=rows, columns=_HISTORY
                )
        except DataRefused as error:
            if error.sqlstate == UNIQUE_VIOLATION:
                raise Contention(str(error)) from error
            raise

    async def raise_latest(self, raised: dict[Key, Raised]) -> None:
        """Store new maxima; the statement sorts them by key."""
        if not raised:
            return
        facts, significant = zip(*raised.values(), strict=True)
        nums, lons, texts = zip(*(columns(fact.value) for fact in facts), strict=True)
        snums, slons, stexts = zip(*map(columns, significant), strict=True)
        with translated():
            await self.connection.execute(
                _SQL["raise_latest"],
                *_transposed(list(raised), 3),
                [fact.observed for fact in facts],
                [fact.received for fact in facts],
                nums,
                lons,
                [fact.quality for fact in facts],
                texts,
                snums,
                slons,
                stexts,
            )

    async def raise_revisions(self, assets: Iterable[AssetKey]) -> None:
        """Count one more change of `assets`."""
        ordered = sorted(set(assets))
        if ordered:
            with translated():
                await self.connection.execute(_SQL["raise_revisions"], *_transposed(ordered, 2))

    async def append_settlements(self, settlements: Sequence[Settlement]) -> None:
        """Settle numbers."""
        rows = [
            (
                row.workspace,
                row.publisher,
                row.epoch,
                row.door.value,
                row.outcome,
                row.first,
                row.last,
                row.numbers,
                "{" + ",".join(map(str, row.delays)) + "}",
            )
            for row in settlements
        ]
        await self.write("append_settlements", rows)

    async def write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a statement that takes a column for each element of the rows; none without rows."""
        if rows:
            with translated():
                await self.connection.execute(_SQL[statement], *_transposed(rows, len(rows[0])))

    async def execute(self, statement: str, *arguments: object) -> None:
        """Run a statement for one row."""
        with translated():
            await self.connection.execute(_SQL[statement], *arguments)


def _transposed(rows: Sequence[tuple[object, ...]], width: int) -> list[Sequence[object]]:
    return list(zip(*rows, strict=True)) if rows else [[] for _ in range(width)]


def _full_key(fact: Candidate) -> tuple[object, ...]:
    return fact.key, fact.observed, order(fact.value)
