import asyncio
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from click.testing import CliRunner, Result

from core_ingest.errors import DataRefused, StoreUnavailable
from core_ingest.store import migrate as module
from core_ingest.store.migrate import migrate, migrations, pending
from core_ingest.store.queries import load
from ingress_runtime.cli import main

pytestmark = pytest.mark.anyio

NOWHERE = "postgresql://core:secret@127.0.0.1:1/core"


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    """A fresh database without a schema."""
    name = f"empty_{uuid4().hex}"
    server = await asyncpg.connect(postgres_url)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    try:
        yield opened
    finally:
        await opened.close()


async def test_empty_database_gets_every_migration_once_and_in_order(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    try:
        assert await pending(connection) == list(migrations())
        assert await migrate(empty_url) == list(migrations())
        assert await pending(connection) == []
        assert await migrate(empty_url) == []
    finally:
        await connection.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert [int(name.partition("_")[0]) for name in migrations()] == list(
        range(1, len(migrations()) + 1)
    )


async def test_of_several_at_once_one_applies_and_the_others_find_nothing_to_do(
    empty_url: str,
) -> None:
    applied = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))

    assert sorted(applied, key=len) == [[], [], [], list(migrations())]


async def test_migration_that_fails_leaves_nothing_and_runs_again(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"0001_one": "CREATE TABLE one (a int)"}

    def pretend(found: Mapping[str, str]) -> None:
        monkeypatch.setattr(module, "migrations", lambda: found)

    pretend(good | {"0002_two": "CREATE TABLE two (a int); SELECT 1 / 0"})
    with pytest.raises(DataRefused):
        await migrate(empty_url)

    connection = await asyncpg.connect(empty_url)
    try:
        assert await pending(connection) == ["0002_two"]
        assert await connection.fetchval("SELECT to_regclass('one') IS NOT NULL")
        assert await connection.fetchval("SELECT to_regclass('two') IS NULL")
    finally:
        await connection.close()
    pretend(good | {"0002_two": "CREATE TABLE two (a int)"})
    assert await migrate(empty_url) == ["0002_two"]


async def test_database_that_is_away_is_an_unavailable_store() -> None:
    with pytest.raises(StoreUnavailable):
        await migrate(NOWHERE)


def ingress_migrate(url: str) -> Result:
    return CliRunner().invoke(main, ["migrate"], env={"INGRESS_DATABASE_URL": url})


async def test_command_applies_what_is_missing_and_says_so(empty_url: str) -> None:
    first, second = [await asyncio.to_thread(ingress_migrate, empty_url) for _ in range(2)]

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.output.splitlines() == [
        *(f"applied {name}" for name in migrations()),
        "the schema is up to date",
    ]
    assert second.output == "the schema is up to date\n"


def test_command_says_in_a_line_when_the_database_is_away() -> None:
    result = ingress_migrate(NOWHERE)

    assert result.exit_code == 1
    assert result.output.startswith("Error: the database cannot be reached")
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("package", "resource"),
    [
        ("core_ingest.store", "sql/identities.sql"),
        ("core_ingest.store", "sql/ingest.sql"),
        ("core_ingest.ledger", "ledger.sql"),
        ("core_ingest.dead_letters", "dead_letters.sql"),
    ],
)
async def test_every_statement_fits_the_migrated_schema(
    connection: asyncpg.Connection, package: str, resource: str
) -> None:
    for statement in load(package, resource).values():
        await connection.prepare(statement)


async def test_every_key_leads_with_the_workspace(connection: asyncpg.Connection) -> None:
    keys = await connection.fetch(
        "SELECT c.conrelid::regclass::text AS of, a.attname AS leads FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " JOIN pg_class t ON t.oid = c.conrelid AND t.relnamespace = 'public'::regnamespace"
        " WHERE c.contype IN ('p', 'u')"
    )
    without_workspace = {
        "schema_migrations", "ingest_limits", "workspaces", "signals", "settlements", "api_keys",
    }  # fmt: skip

    assert {key["of"] for key in keys if key["leads"] != "workspace"} == without_workspace


async def test_history_is_keyed_by_the_whole_fact_and_has_no_default_partition(
    connection: asyncpg.Connection,
) -> None:
    key = await connection.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'history'::regclass AND contype = 'p'"
    )
    nullable = await connection.fetchval(
        "SELECT count(*) FROM pg_attribute"
        " WHERE attrelid = 'history'::regclass AND attnum > 0 AND NOT attnotnull"
    )
    partitions = await connection.fetch(
        "SELECT pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i"
        " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'history'::regclass"
    )

    assert key == "PRIMARY KEY (workspace, asset, signal, observed, num, lon, text)"
    assert nullable == 0
    assert [row["bound"].startswith("FOR VALUES FROM (MINVALUE)") for row in partitions] == [True]


async def test_text_is_ordered_by_its_bytes_wherever_it_is_a_key(
    connection: asyncpg.Connection,
) -> None:
    otherwise = await connection.fetch(
        "SELECT a.attrelid::regclass::text || '.' || a.attname AS at FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)"
        " JOIN pg_class t ON t.oid = c.conrelid AND t.relnamespace = 'public'::regnamespace"
        " WHERE c.contype IN ('p', 'u') AND a.atttypid = 'text'::regtype"
        " AND a.attcollation <> '\"C\"'::regcollation"
    )

    assert [row["at"] for row in otherwise] == []


async def test_skew_is_five_minutes_and_there_is_one(connection: asyncpg.Connection) -> None:
    assert await connection.fetchval("SELECT skew_seconds FROM ingest_limits") == 300
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute("INSERT INTO ingest_limits DEFAULT VALUES")
