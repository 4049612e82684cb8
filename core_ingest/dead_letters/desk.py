"""Where dead letters of one workspace are replayed or discarded: by one at a time."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from core_ingest.dead_letters.filters import Filters, MessageCursor
from core_ingest.dead_letters.rebuild import rebuild, route, without_data
from core_ingest.dead_letters.store import SQL, numbers_of
from core_ingest.dead_letters.verdicts import Tally, resolutions, why
from core_ingest.door import Door, Principal
from core_ingest.errors import StoreUnavailable, translated
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.item import Fate
from core_ingest.persist import Step, storable
from core_ingest.providers import Interpreter
from core_ingest.store.database import Connection, OneConnection
from core_ingest.unreadable import UNKNOWN_WORKSPACE, Unreadable
from ingress_contracts.envelope import Envelope

MOST_BYTES = 64 * 1024 * 1024
"""The data of one batch weigh at most this much, and one message more."""


class ReplayRunning(Exception):
    """Somebody else replays or discards letters of this workspace just now."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message of which the letters with these indexes wait, rebuilt."""

    cursor: MessageCursor
    indexes: list[int]
    door: str
    message: Envelope | Unreadable

    @property
    def gone(self) -> bool:
        """Whether its data never came, so that there is nothing to replay."""
        return without_data(self.cursor.origin, self.indexes, self.message)

    def belongs_to(self, workspace: str) -> bool:
        """Tell whether dead letters of it are kept in `workspace`."""
        message = self.message
        return workspace == (
            message.workspace if isinstance(message, Unreadable) else message.workspaceid
        )


class Run(NamedTuple):
    """A replay that was interrupted: how many messages it handled, and how far it came."""

    handled: int
    cursor: MessageCursor


class Remaining(NamedTuple):
    """How many messages, and letters of them, wait."""

    messages: int
    letters: int


async def _go_on(_step: str) -> None:
    """Do nothing between steps."""


class Desk:
    """A workspace whose letters nobody else replays or discards meanwhile.

    The lock and all transactions are one session's, so they end together. Every method raises
    StoreUnavailable; nothing of the batch was committed then.
    """

    def __init__(
        self,
        connection: Connection,
        workspace: str,
        number: int,
        step: Step,
        plugins: Mapping[str, Interpreter] | None,
    ) -> None:
        self._connection = connection
        self._workspace = workspace
        self._number = number
        self._plugins = plugins
        self._handler = self._new_handler(step)

    def _new_handler(self, step: Step) -> IngestHandler:
        return IngestHandler(OneConnection(self._connection), step=step, plugins=self._plugins)

    async def begin(self) -> MessageCursor:
        """Return the beginning of a replay of all letters that there are by now."""
        with translated(repeated=False):
            return MessageCursor(await self._connection.fetchval(SQL["clock"]))

    async def remaining(self, filters: Filters, after: MessageCursor) -> Remaining:
        """Return what waits beyond a place."""
        with translated(repeated=False):
            row = await self._connection.fetchrow(
                SQL["remaining"], self._number, *filters.arguments(), *after
            )
        return Remaining(0, 0) if row is None else Remaining(row["messages"], row["letters"])

    async def batch(
        self, filters: Filters, after: MessageCursor, limit: int, most_bytes: int = MOST_BYTES
    ) -> list[Waiting]:
        """Return the next messages in the order of their streams: at most `limit`, none at the end."""
        with translated(repeated=False):
            rows = await self._connection.fetch(
                SQL["messages"], self._number, *filters.arguments(), *after, limit, most_bytes
            )
        return [
            Waiting(
                MessageCursor(after.started, row["lane"], row["position"], row["origin"]),
                row["indexes"],
                row["door"],
                rebuild(row["attributes"], row["data"]),
            )
            for row in rows
        ]

    async def replay(self, batch: Sequence[Waiting], run: tuple[str, Run] | None = None) -> Tally:
        """Hand messages to the handler again, and mark their letters in the same transaction.

        `run` is what to remember in it: under which name, and how far the replay has come then.
        """
        return await self._handle(self._handler, batch, run)

    async def rehearse(self, batch: Sequence[Waiting]) -> Tally:
        """Return what `replay` would, from a replay that is rolled back.

        Facts, letters, assets, signals and partitions that it made are gone again. Until then, the
        assets of the batch are locked.
        """
        outer = self._connection.transaction()
        with translated(repeated=False):
            await outer.start()
        try:
            return await self._handle(self._new_handler(_go_on), batch, None)
        finally:
            with translated(repeated=False):
                await outer.rollback()

    async def _handle(
        self, handler: IngestHandler, batch: Sequence[Waiting], run: tuple[str, Run] | None
    ) -> Tally:
        able = [each for each in batch if not each.gone]
        tally = Tally(without_data=len(batch) - len(able))
        if not able:
            return tally

        async def record(connection: Connection, fates: Sequence[Fate]) -> None:
            nonlocal tally
            tally = await self._record(connection, able, fates)
            if run is not None:
                name, (handled, cursor) = run
                await connection.execute(
                    SQL["save_run"], self._number, name, cursor.started, handled, *cursor[1:]
                )

        await handler.handle_again([self._delivery(each) for each in able], record)
        return tally.model_copy(update={"without_data": len(batch) - len(able)})

    def _delivery(self, each: Waiting) -> Delivery:
        """Return a message as the handler takes it; its origin stays the one that it is kept under."""
        workspace = None if self._workspace == UNKNOWN_WORKSPACE else self._workspace
        return Delivery(
            [each.message],
            Door.REPLAY,
            Principal(workspace),
            route(each.cursor.origin, each.door, each.message),
            origins=[each.cursor.origin],
        )

    async def _record(
        self, connection: Connection, batch: Sequence[Waiting], fates: Sequence[Fate]
    ) -> Tally:
        """Mark the letters of a batch. Raises StoreUnavailable where somebody changed them."""
        outcomes: Counter[str] = Counter()
        letters: list[tuple[object, ...]] = []
        replays: list[tuple[object, ...]] = []
        waiting = 0
        for each, fate in zip(batch, fates, strict=True):
            origin, outcome = each.cursor.origin, fate.outcome.kind.value
            outcomes[outcome] += 1
            reason, detail = why(fate)
            replays.append((origin, outcome, reason, None if detail is None else storable(detail)))
            moved = not each.belongs_to(self._workspace)
            for found in resolutions(each.indexes, fate, moved=moved):
                waiting += found.waits
                letters.append((origin, *found[:-1], storable(found.detail)))
        done = await connection.execute(
            SQL["resolve"], self._number, *map(list, zip(*letters, strict=True))
        )
        if done != f"UPDATE {len(letters)}":
            raise StoreUnavailable("somebody changed these dead letters meanwhile; try again")
        await connection.execute(
            SQL["add_replays"], self._number, *map(list, zip(*replays, strict=True))
        )
        return Tally(
            messages=len(batch),
            outcomes=dict(sorted(outcomes.items())),
            resolved=len(letters) - waiting,
            waiting=waiting,
        )

    async def interrupted(self, name: str) -> Run | None:
        """Return how far a run of this name has come that has not ended."""
        with translated(repeated=False):
            row = await self._connection.fetchrow(SQL["run"], self._number, name)
        if row is None:
            return None
        place = MessageCursor(row["started"], row["lane"], row["position"], row["origin"])
        return Run(row["handled"], place)

    async def end(self, name: str) -> None:
        """Forget the run of this name: it has ended, or is to begin anew."""
        with translated(repeated=False):
            await self._connection.execute(SQL["end_run"], self._number, name)

    async def discard(self, filters: Filters, note: str) -> Remaining:
        """Give up the messages that `filters` find, with all their letters; return how many."""
        with translated(repeated=False):
            rows = await self._connection.fetch(
                SQL["discard"], self._number, *filters.arguments(), note
            )
        return Remaining(len({row["origin"] for row in rows}), len(rows))


@asynccontextmanager
async def desk(
    pool: asyncpg.Pool,
    workspace: str,
    *,
    step: Step = _go_on,
    plugins: Mapping[str, Interpreter] | None = None,
    seconds: float = 10,
) -> AsyncIterator[Desk]:
    """Yield the desk of a workspace. It takes one connection, waited for at most `seconds`.

    Raises NoSuchWorkspace, ReplayRunning and StoreUnavailable.
    """
    async with AsyncExitStack() as stack:
        with translated(repeated=False):
            connection = await stack.enter_async_context(pool.acquire(timeout=seconds))
            (number,) = await numbers_of(connection, workspace)
            if not await connection.fetchval(SQL["lock_workspace"], number):
                raise ReplayRunning(workspace)
        # The pool takes back the session's locks together with the connection.
        yield Desk(connection, workspace, number, step, plugins)
