"""A door's own statements join the handler's transaction: all is committed, or nothing."""

from typing import TYPE_CHECKING

import pytest

from core_ingest.errors import IngestError
from core_ingest.store.database import Connection

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio


async def test_statement_of_a_door_joins_the_transaction(core: "Core", edge: "Edge") -> None:
    await core.pool.execute("CREATE TABLE cursors (at int PRIMARY KEY)")

    async def advance(connection: Connection) -> None:
        assert await connection.fetchval("SELECT count(*) FROM history") == 1
        await connection.execute("INSERT INTO cursors VALUES (1)")

    assert await core.take(edge.frame("speed", 1.0), within=[advance]) == ["accepted"]
    assert await core.count("cursors") == 1


async def test_batch_and_statement_are_rolled_back_together(core: "Core", edge: "Edge") -> None:
    await core.pool.execute("CREATE TABLE cursors (at int PRIMARY KEY)")

    class Fenced(Exception):
        pass

    async def advance(connection: Connection) -> None:
        await connection.execute("INSERT INTO cursors VALUES (1)")

    async def fence(_connection: Connection) -> None:
        raise Fenced

    with pytest.raises(Fenced):
        await core.take(edge.frame("speed", 1.0), within=[advance, fence])

    for table in ("cursors", "history", "latest", "settlements"):
        assert await core.count(table) == 0


async def test_statement_that_the_database_refuses_is_not_blamed_on_an_envelope(
    core: "Core", edge: "Edge"
) -> None:
    await core.pool.execute("CREATE TABLE cursors (at int CHECK (at > 0))")

    async def advance(connection: Connection) -> None:
        await connection.execute("INSERT INTO cursors VALUES (0)")

    with pytest.raises(IngestError, match="a statement that joined the batch failed"):
        await core.take(edge.frame("speed", 1.0), within=[advance])

    assert await core.count("history") == 0
    assert await core.count("dead_letters") == 0
