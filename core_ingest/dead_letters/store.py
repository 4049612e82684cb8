"""Dead letters in the database: listed, counted, shown."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from core_ingest.dead_letters.filters import Filters, Grouping, LetterCursor
from core_ingest.dead_letters.letters import Count, LetterPage, Message, letter, message
from core_ingest.errors import translated
from core_ingest.store.database import Connection
from core_ingest.store.queries import load

SQL = load("core_ingest.dead_letters", "dead_letters.sql")


class NoSuchWorkspace(LookupError):
    """No workspace has this name."""


class NoSuchLetter(LookupError):
    """The workspace has no dead letter of this origin."""


class DeadLetters:
    """Reads of one database; a connection is waited for at most `seconds`.

    Every method raises StoreUnavailable, and NoSuchWorkspace where one is named that is not there;
    None stands for all of them.
    """

    def __init__(self, pool: asyncpg.Pool, *, seconds: float = 10) -> None:
        self._pool = pool
        self._seconds = seconds

    async def page(
        self, workspace: str | None, filters: Filters, *, after: LetterCursor, limit: int
    ) -> LetterPage:
        """Return at most `limit` letters after a given one, oldest first."""
        async with self._reading(workspace) as (connection, numbers):
            rows = await connection.fetch(
                SQL["page"], numbers, *filters.arguments(), *after, limit + 1
            )
        last = rows[limit - 1] if len(rows) > limit else None
        return LetterPage(
            letters=[letter(row) for row in rows[:limit]],
            next=None
            if last is None
            else LetterCursor(
                last["dead_lettered"], last["number"], last["origin"], last["index"]
            ).text(),
        )

    async def counts(self, workspace: str | None, filters: Filters, by: Grouping) -> list[Count]:
        """Return how many letters share a reason, provider, publisher, door or state."""
        async with self._reading(workspace) as (connection, numbers):
            rows = await connection.fetch(SQL["counts"], numbers, *filters.arguments(), by.value)
        return [Count(**dict(row)) for row in rows]

    async def message(self, workspace: str, origin: str) -> Message:
        """Return a message whole, with all its letters and replays. Raises NoSuchLetter."""
        async with self._reading(workspace) as (connection, numbers):
            rows = await connection.fetch(SQL["letters"], numbers, origin)
            replays = await connection.fetch(SQL["replays"], numbers, origin)
        if not rows:
            raise NoSuchLetter(origin)
        return message(rows, replays)

    @asynccontextmanager
    async def _reading(
        self, workspace: str | None
    ) -> AsyncIterator[tuple[Connection, Sequence[int]]]:
        """Yield a connection and the numbers of the workspaces that are meant."""
        with translated(repeated=False):
            async with (
                self._pool.acquire(timeout=self._seconds) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection, await numbers_of(connection, workspace)


async def numbers_of(connection: Connection, workspace: str | None) -> list[int]:
    """Return the number of a workspace, or those of all. Raises NoSuchWorkspace."""
    rows = await connection.fetch(SQL["workspaces"], workspace)
    if workspace is not None and not rows:
        raise NoSuchWorkspace(workspace)
    return [row["id"] for row in rows]
