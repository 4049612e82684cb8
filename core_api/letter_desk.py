"""Dead letters as the API reads, replays and discards them: bounded, a batch at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from core_api.reads import Reads
from core_ingest.dead_letters.desk import Desk, Remaining, desk
from core_ingest.dead_letters.filters import Filters, Grouping, LetterCursor, MessageCursor
from core_ingest.dead_letters.letters import Count, LetterPage, Message
from core_ingest.dead_letters.store import DeadLetters
from core_ingest.dead_letters.verdicts import Tally
from core_ingest.persist import Step
from core_ingest.providers import interpreters


class LetterDesk:
    """The dead letters of one database; whatever it does takes the turn of a read.

    Every method raises NoSuchWorkspace, ReadsFull and StoreUnavailable.
    """

    def __init__(self, pool: asyncpg.Pool, reads: Reads, *, step: Step, seconds: float) -> None:
        self._pool = pool
        self._reads = reads
        self._step = step
        self._seconds = seconds
        self._letters = DeadLetters(pool, seconds=seconds)
        self._plugins = interpreters()

    async def page(
        self, workspace: str, filters: Filters, *, after: LetterCursor, limit: int
    ) -> LetterPage:
        """Return at most `limit` letters after a given one, oldest first."""
        async with self._reads.slot():
            return await self._letters.page(workspace, filters, after=after, limit=limit)

    async def counts(self, workspace: str, filters: Filters, by: Grouping) -> list[Count]:
        """Return how many letters there are by one of their properties."""
        async with self._reads.slot():
            return await self._letters.counts(workspace, filters, by)

    async def message(self, workspace: str, origin: str) -> Message:
        """Return a message whole. Raises NoSuchLetter."""
        async with self._reads.slot():
            return await self._letters.message(workspace, origin)

    async def replay(
        self,
        workspace: str,
        filters: Filters,
        after: MessageCursor | None,
        limit: int,
        *,
        dry_run: bool,
    ) -> tuple[Tally, MessageCursor | None]:
        """Replay one batch; return what it came to, and where to go on if anything is left.

        Raises ReplayRunning.
        """
        async with self._desk(workspace) as open_desk:
            place = after or await open_desk.begin()
            batch = await open_desk.batch(filters, place, limit)
            if not batch:
                return Tally(), None
            tally = await (open_desk.rehearse if dry_run else open_desk.replay)(batch)
            last = batch[-1].cursor
            more = await open_desk.batch(filters, last, 1)
        return tally, last if more else None

    async def discard(self, workspace: str, filters: Filters, because: str) -> Remaining:
        """Give up the messages that `filters` find. Raises ReplayRunning."""
        async with self._desk(workspace) as open_desk:
            return await open_desk.discard(filters, because)

    @asynccontextmanager
    async def _desk(self, workspace: str) -> AsyncIterator[Desk]:
        async with (
            self._reads.slot(),
            desk(
                self._pool,
                workspace,
                step=self._step,
                plugins=self._plugins,
                seconds=self._seconds,
            ) as open_desk,
        ):
            yield open_desk
