"""A database of our own on a server, whosever that is."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from core_ingest.errors import translated
from core_ingest.store import database
from core_ingest.store.migrate import migrate


@asynccontextmanager
async def migrated_pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    """Migrate the database and give a small pool of connections to it."""
    await migrate(url)
    pool = await database.connect(url, min_size=1, max_size=2)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def own_database(server_url: str) -> AsyncIterator[str]:
    """Give a database of our own on the server, whosever it is, and drop it at the end."""
    name = f"ingress_demo_{secrets.token_hex(4)}"
    await _execute(server_url, f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        await _execute(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    with translated():
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
