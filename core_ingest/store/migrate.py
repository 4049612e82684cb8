"""Migrations: numbered SQL files, applied in order, forward only, one process at a time."""

from collections.abc import Mapping
from importlib.resources import files

import asyncpg

from core_ingest.errors import SchemaOutdated, translated
from core_ingest.store.database import Connection, reaching

_LOCK = 7_236_001
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text COLLATE "C" PRIMARY KEY,
    applied timestamptz NOT NULL DEFAULT now()
)
"""


def migrations() -> Mapping[str, str]:
    """Return the SQL of all migrations by name, in the order in which they apply."""
    folder = files("core_ingest.store").joinpath("migrations")
    found = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return {file.name.removesuffix(".sql"): file.read_text(encoding="utf-8") for file in found}


async def pending(connection: Connection) -> list[str]:
    """Return the names of the migrations that the database lacks."""
    with translated():
        known = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        rows = await connection.fetch("SELECT name FROM schema_migrations") if known else []
    applied = {row["name"] for row in rows}
    return [name for name in migrations() if name not in applied]


async def require(connection: Connection) -> None:
    """Return if the database lacks none. Raises SchemaOutdated, which says what to run."""
    if missing := await pending(connection):
        raise SchemaOutdated(
            f"Migrations are pending ({', '.join(missing)}): run `ingress migrate`."
        )


async def migrate(url: str) -> list[str]:
    """Apply what is missing and return the names of what was applied.

    Each migration is a transaction of its own. A second process waits (advisory lock) and then
    finds nothing to do. Raises NoConnection if the database cannot be reached.
    """
    with reaching(url):
        connection = await asyncpg.connect(url)
    with translated():
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
            await connection.execute(_TABLE)
            missing = await pending(connection)
            for name in missing:
                await _apply(connection, name)
        finally:
            await connection.close()
    return missing


async def _apply(connection: Connection, name: str) -> None:
    async with connection.transaction():
        await connection.execute(migrations()[name])
        await connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", name)
