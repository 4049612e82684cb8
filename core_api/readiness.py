"""Whether this process can do its work now, and if not, what is wrong."""

import asyncio

import asyncpg

from core_api.store import borrowed
from core_ingest.errors import IngestError, StoreUnavailable
from core_ingest.store import migrate

_SECONDS = 2.0


class Readiness:
    """Looks at the database, one probe at a time; `closing` is set once a stop was asked for."""

    def __init__(self, pool: asyncpg.Pool, *, seconds: float = _SECONDS) -> None:
        self._pool = pool
        self._seconds = seconds
        self._probing = asyncio.Lock()
        self.closing = False

    async def objections(self) -> list[str]:
        """Return what is wrong, a sentence each; nothing where the process is ready."""
        found = ["The process is shutting down."] if self.closing else []
        try:
            await self.require_migrated()
        except StoreUnavailable:
            found.append("The database cannot be reached.")
        except IngestError as error:
            found.append(str(error))
        return found

    async def require_migrated(self) -> None:
        """Return if the schema is what this version needs.

        Raises SchemaOutdated, which says what to run, and StoreUnavailable.
        """
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._probing,
                borrowed(self._pool, self._seconds) as connection,
            ):
                await migrate.require(connection)
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self._seconds:g} s") from None
