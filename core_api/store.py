"""Borrowing a connection for a read: bounded waiting, and no driver's exception gets out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from core_ingest.errors import Contention, StoreUnavailable, translated
from core_ingest.store.database import Connection


@asynccontextmanager
async def borrowed(pool: asyncpg.Pool, seconds: float) -> AsyncIterator[Connection]:
    """Yield a connection of `pool`, waiting for it for at most `seconds`.

    Raises StoreUnavailable where there is none in time, or where the database fails in the block.
    """
    with retryable():
        async with pool.acquire(timeout=seconds) as connection:
            yield connection


@contextmanager
def retryable() -> Iterator[None]:
    """Translate the driver's exceptions; to a reader, a conflict is one more reason to retry."""
    try:
        with translated():
            yield
    except Contention as error:
        raise StoreUnavailable(str(error)) from error
