"""The handler's transaction: each method is one named statement over a whole batch."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from operator import itemgetter
from typing import TypeAlias

from core_ingest.decide import Candidate, Instant, Key, Mark, Raised
from core_ingest.errors import UNIQUE_VIOLATION, Contention, DataRefused, translated
from core_ingest.ledger.settlements import Settlement
from core_ingest.reading import Value, columns, of_columns, order
from core_ingest.store import copying
from core_ingest.store.database import Connection
from core_ingest.store.queries import load

_SQL = load("core_ingest.store", "sql/ingest.sql")

_KEY_OBSERVED_VALUE = itemgetter(*map(Candidate._fields.index, ("key", "observed", "value")))

AssetKey: TypeAlias = tuple[int, int]
"""Workspace and asset, as the database numbers them."""


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
            locked = await self.connection.fetchval(_SQL["lock_assets"], *_integers(ordered, 2))
        if locked != len(ordered):
            raise DataRefused("23503", "the database lacks assets that it had: was it restored?")

    async def marks(self, keys: Iterable[Key]) -> dict[Key, Mark]:
        """Return the newest facts of `keys`, as far as there are any."""
        asked = list(keys)
        with translated():
            rows = await self.connection.fetch(_SQL["marks"], *_integers(asked, 3))
        return {
            asked[place - 1]: Mark(
                observed, of_columns(num, lon, text), of_columns(snum, slon, stext)
            )
            for place, observed, num, lon, text, snum, slon, stext in rows
        }

    async def stored(self, instants: set[Instant]) -> dict[Instant, list[Value]]:
        """Return the values of the facts at `instants`."""
        found: dict[Instant, list[Value]] = {}
        if instants:
            with translated():
                rows = await self.connection.fetch(_SQL["stored"], *_integers(list(instants), 4))
            for workspace, asset, signal, observed, num, lon, text in rows:
                at = (workspace, asset, signal, observed)
                found.setdefault(at, []).append(of_columns(num, lon, text))
        return found

    async def append_history(self, facts: Sequence[Candidate]) -> None:
        """Add facts, sorted by their full key, by COPY: half the cost of an insert.

        Under the locks of their assets none of them can be there.
        """
        if not facts:
            return
        body = copying.body(_by_full_key(facts))
        with _under_locks():
            await self.connection.copy_to_table(
                "history", source=body, columns=copying.COLUMNS, format="binary"
            )

    async def raise_latest(self, raised: dict[Key, Raised], known: Collection[Key]) -> None:
        """Store new maxima; `known` are the keys that have one already.

        Three statements, since most are numbers of known keys, and for those an update of few
        columns costs half of what an upsert of all does. Each is sorted by key.
        """
        numbers: list[Key] = []
        others: list[Key] = []
        new: list[Key] = []
        for key in sorted(raised):
            fact, significant = raised[key]
            if key not in known:
                new.append(key)
            elif type(fact.value) is float and type(significant) is float:
                numbers.append(key)
            else:
                others.append(key)
        with _under_locks():
            if numbers:
                facts, significants = zip(*map(raised.__getitem__, numbers), strict=True)
                values = [fact.value for fact in facts]
                await self.connection.execute(
                    _SQL["raise_numbers"], *_fact_columns(facts), values, significants
                )
            for statement, chosen in (("raise_values", others), ("add_latest", new)):
                if chosen:
                    facts, significants = zip(*map(raised.__getitem__, chosen), strict=True)
                    await self.connection.execute(
                        _SQL[statement],
                        *_fact_columns(facts),
                        *zip(*(columns(fact.value) for fact in facts), strict=True),
                        *zip(*map(columns, significants), strict=True),
                    )

    async def raise_revisions(self, assets: Iterable[AssetKey]) -> None:
        """Count one more change of `assets`."""
        ordered = sorted(set(assets))
        if ordered:
            with translated():
                await self.connection.execute(_SQL["raise_revisions"], *_integers(ordered, 2))

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
                _literal(row.delays),
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


@contextmanager
def _under_locks() -> Iterator[None]:
    """Translate; a key that is there already was written past the locks: begin again (Contention)."""
    try:
        with translated():
            yield
    except DataRefused as error:
        if error.sqlstate == UNIQUE_VIOLATION:
            raise Contention(str(error)) from error
        raise


def _transposed(rows: Sequence[tuple[object, ...]], width: int) -> list[Sequence[object]]:
    return list(zip(*rows, strict=True)) if rows else [[] for _ in range(width)]


def _integers(rows: Sequence[tuple[int, ...]], width: int) -> list[str]:
    """Return columns of integers as array literals.

    The driver asks of each element of an array whether it is an array itself, which costs it more
    than all the rest; a literal it sends as it is.
    """
    return [_literal(column) for column in _transposed(rows, width)]


def _literal(integers: Iterable[object]) -> str:
    return "{" + ",".join(map(str, integers)) + "}"


def _fact_columns(facts: Sequence[Candidate]) -> list[str]:
    """Return workspace, asset, signal, observed, received and quality."""
    keys, observed, received, _, quality, _ = zip(*facts, strict=True)
    return [*_integers(keys, 3), _literal(observed), _literal(received), _literal(quality)]


def _by_full_key(facts: Sequence[Candidate]) -> list[Candidate]:
    """Return `facts` by key, observed and value."""
    try:
        return sorted(facts, key=_KEY_OBSERVED_VALUE)
    except TypeError:  # values of different kinds at one instant
        return sorted(facts, key=_full_key)


def _full_key(fact: Candidate) -> tuple[object, ...]:
    return fact.key, fact.observed, order(fact.value)
