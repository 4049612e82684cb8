"""Outages of the database, as contexts: inside it is bad, afterwards all is well again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from ingress_testbed.faults.proxy import Proxy
from ingress_testbed.servers.postgres import OwnPostgres

_DELAY_SECONDS = 0.1
_LOOK_EVERY_SECONDS = 0.05
_END_THE_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'telematics-ingress'
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A server of our own, and the road on which core reaches it."""

    server: OwnPostgres
    road: Proxy


Outage = Callable[[Database], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def restarted(database: Database) -> AsyncIterator[None]:
    """Stop the server fast, as for an upgrade: it ends sessions and rolls back; then start it."""
    await asyncio.to_thread(database.server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(database.server.start)


@asynccontextmanager
async def slowed(database: Database) -> AsyncIterator[None]:
    """Let all that core and server say to each other take a tenth of a second more, each way."""
    database.road.delay = _DELAY_SECONDS
    try:
        yield
    finally:
        database.road.delay = 0.0


@asynccontextmanager
async def out_of_connections(database: Database) -> AsyncIterator[None]:
    """Hold every connection that the server has, core's former ones too: it gets none (53300)."""
    async with AsyncExitStack() as held:
        first = await _plainly(database.server.url)
        held.push_async_callback(first.close)
        holding = asyncio.create_task(_hold_all(database.server.url, first, held))
        try:
            yield
        finally:
            holding.cancel()
            await asyncio.wait([holding])


async def _hold_all(url: str, first: asyncpg.Connection, held: AsyncExitStack) -> None:
    """Take each connection that there is, again and again, until cancelled."""
    while True:
        try:
            connection = await _plainly(url)
        except asyncpg.TooManyConnectionsError:
            await first.execute(_END_THE_OTHERS)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        else:
            held.push_async_callback(connection.close)


async def _plainly(url: str) -> asyncpg.Connection:
    """Connect without asking for TLS: cancelled while it asks, the driver leaves an error behind."""
    return await asyncpg.connect(url, ssl=False)
