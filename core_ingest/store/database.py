"""The connection pool, built in `main` from settings."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Annotated, Any, Protocol, TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from core_ingest.errors import NoConnection, StoreUnavailable, translated
from core_ingest.store.pool import Pool
from ingress_runtime.settings import Settings

Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy
"""A connection, whether it was opened by itself or comes from a pool."""


class Connections(Protocol):
    """What the handler asks of a pool."""

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection for the length of a block."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement on some connection."""

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run a statement on some connection and return its rows."""

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Run a statement on some connection and return the first value of its first row."""


class OneConnection:
    """A single connection in the place of a pool.

    Transactions on it share its session's locks; where one is open already, they are savepoints of
    that one, and end with it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend the connection."""
        yield self._connection

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement."""
        return await self._connection.execute(query, *args)

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run a statement and return its rows."""
        return await self._connection.fetch(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Run a statement and return the first value of its first row."""
        return await self._connection.fetchval(query, *args)


def _of_postgres(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("the URL must begin with postgresql:// or postgres://")
    try:
        place(text)
    except ValueError:  # of which the text may hold a part of the password
        raise ValueError(
            "the URL cannot be told apart into user, password, host, port and database; in a "
            "password, percent-encode `@ : / # ? [ ] %` (%40 %3A %2F %23 %3F %5B %5D %25)"
        ) from None
    return url


_HOST = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_CLOSE_SECONDS = 5.0
_PORT = "5432"
_GREATEST_PORT = 65_535
_OF_USERS = {"user", "password"}


def place(url: str) -> str:
    """Return `host:port` of a URL, and nothing of its user and password.

    Raises ValueError where the driver could not read it, or would take a part of the password for
    the host.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    user, at, hosts = parts.netloc.rpartition("@")
    elsewhere = [parts.path, *query, *(query[name][-1] for name in query.keys() - _OF_USERS)]
    if "@" in user or "#" in url or (not at and any("@" in part for part in elsewhere)):
        raise ValueError("a character of the password ends it")
    port = query.get("port", [_PORT])[-1]
    sought = hosts or query.get("host", [""])[-1]
    return ",".join(_host(one, port) for one in sought.split(","))


def _host(text: str, port: str) -> str:
    if text.startswith("/"):
        return text
    match = _HOST.fullmatch(text)
    if match is None or int(match["port"] or 0) > _GREATEST_PORT:
        raise ValueError("no host and port")
    return f"{match['host'] or 'localhost'}:{match['port'] or port}"


DatabaseUrl = Annotated[SecretStr, AfterValidator(_of_postgres)]
"""Where a Postgres is, password included."""


class DatabaseSettings(Settings):
    """Where core keeps its state."""

    model_config = SettingsConfigDict(env_prefix="INGRESS_DATABASE_")

    url: DatabaseUrl = Field(
        description="Postgres 15 or later: `postgresql://user:password@host/db`, with `@ : / #` in "
        "the password percent-encoded."
    )
    pool_size: int = Field(
        default=8, ge=1, le=100, description="Connections a process holds at most."
    )
    statement_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="A statement that takes longer is cancelled and retried.",
    )


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Translate what goes wrong on the way to the database of `url`, its password left out.

    Raises NoConnection.
    """
    try:
        with translated():
            yield
    except StoreUnavailable as error:
        raise NoConnection(
            f"{error} (tried {place(url)})", _remedy(error.__cause__)
        ) from error.__cause__


def _remedy(cause: BaseException | None) -> str:
    """Return what to correct, by what the driver raised."""
    match cause:
        case asyncpg.InvalidAuthorizationSpecificationError():  # SQLSTATE 28
            return (
                "Correct user and password in INGRESS_DATABASE_URL, where @ : / # in a password "
                "must be percent-encoded (%40 %3A %2F %23), or let the server admit them."
            )
        case asyncpg.InvalidCatalogNameError():  # SQLSTATE 3D
            return "Correct the database's name in INGRESS_DATABASE_URL, or create it."
        case asyncpg.PostgresError():
            return "Mend what it speaks of, then try again."
        case OSError() | TimeoutError():
            return "Start it, or correct host and port in INGRESS_DATABASE_URL."
        case _:
            return "Correct INGRESS_DATABASE_URL."


async def connect(
    url: str, *, min_size: int = 1, max_size: int = 8, statement_timeout: float = 60.0
) -> asyncpg.Pool:
    """Return an open pool. Raises NoConnection if the database cannot be reached.

    Generic plans are asked for: the handler's statements are few, always the same, and take whole
    arrays, whose length a custom plan would only guess at again.
    """
    with reaching(url):
        return await Pool(
            url,
            min_size=min_size,
            max_size=max_size,
            command_timeout=statement_timeout + 5,
            server_settings={
                "application_name": "telematics-ingress",
                "statement_timeout": str(int(statement_timeout * 1000)),
                "jit": "off",
                "plan_cache_mode": "force_generic_plan",
            },
        )


async def close(pool: asyncpg.Pool) -> None:
    """Close a pool, by force where the database does not answer."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()
