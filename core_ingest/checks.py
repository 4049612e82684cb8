"""What core_ingest contributes to `ingress doctor`: its database, its clock, its schema."""

import time
from collections.abc import AsyncIterator, Mapping

import asyncpg

from core_ingest.errors import IngestError, NoConnection, translated
from core_ingest.store import migrate
from core_ingest.store.database import Connection, DatabaseSettings, reaching
from ingress_runtime.doctor import Examination
from ingress_runtime.findings import Finding, clocks, fail, ok, warn
from ingress_runtime.settings import load

_SECONDS = 10.0
_OLDEST = 150_000
_DATABASE = "database"
_SCHEMA = "schema"
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


async def examine(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Connect once, and look."""
    (settings,) = load(DatabaseSettings, environ=environ)
    url = settings.url.get_secret_value()
    try:
        with reaching(url):
            connection = await asyncpg.connect(url, timeout=_SECONDS, command_timeout=_SECONDS)
    except NoConnection as error:
        yield fail(_DATABASE, error.found, error.remedy)
        return
    try:
        yield await _version(connection)
        yield await _clock(connection)
        yield await _schema(connection)
    except IngestError as error:
        yield fail(_DATABASE, str(error), "Mend what it speaks of, then ask again.")
    finally:
        await connection.close(timeout=_SECONDS)


async def _version(connection: Connection) -> Finding:
    with translated():
        number = int(await connection.fetchval("SHOW server_version_num"))
        name = await connection.fetchval("SELECT current_database()")
    found = f"database {name} answers, Postgres {number // 10_000}"
    if number < _OLDEST:
        return fail(_DATABASE, found, "Upgrade it: Postgres 15 is the oldest that works.")
    return ok(_DATABASE, found)


async def _clock(connection: Connection) -> Finding:
    """Compare clocks, by the middle of the time that the answer took."""
    with translated():
        await connection.fetchval(_NOW)  # what the first question costs more
        before = time.time()
        there = await connection.fetchval(_NOW)
        middle = (before + time.time()) / 2
    return clocks("clock", middle - there, "the database's")


async def _schema(connection: Connection) -> Finding:
    with translated():
        is_there = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        rows = await connection.fetch("SELECT name FROM schema_migrations") if is_there else []
    missing = await migrate.pending(connection)
    if missing:
        return fail(_SCHEMA, f"migrations are pending: {', '.join(missing)}", "ingress migrate")
    if newer := sorted({row["name"] for row in rows} - migrate.migrations().keys()):
        return warn(
            _SCHEMA,
            f"the database is of a newer version: {', '.join(newer)} is unknown here",
            "Upgrade telematics-ingress on this machine.",
        )
    return ok(_SCHEMA, f"it is this version's: {list(migrate.migrations())[-1]}")


def is_core(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment is that of a core process."""
    return bool(environ.get("INGRESS_DATABASE_URL")) or any(
        name.startswith("CORE_") for name in environ
    )


EXAMINATION = Examination(
    name="core",
    settings=(DatabaseSettings,),
    concerned=is_core,
    concerned_if="INGRESS_DATABASE_URL or a CORE_ variable is set",
    examine=examine,
)
