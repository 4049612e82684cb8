"""What the handler does when the database refuses, contends, or is away."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from core_ingest.door import Door, Principal
from core_ingest.errors import SchemaOutdated, StoreUnavailable
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.store.database import Connection, connect
from core_ingest.store.migrate import migrate
from ingress_testbed.servers.postgres import OwnPostgres, running_postgres

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
SECOND = timedelta(seconds=1)
SPEED = "Vehicle.Speed"
ANYBODY = Principal()

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'not this one' USING ERRCODE = '{sqlstate}';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW WHEN ({condition})
EXECUTE FUNCTION refuse();
"""


async def refuse(
    core: "Core", condition: str, table: str = "history", sqlstate: str = "23514"
) -> None:
    """Make the database refuse some rows."""
    await core.pool.execute(REFUSE.format(table=table, condition=condition, sqlstate=sqlstate))


@asynccontextmanager
async def pausing(core: "Core", at: str) -> AsyncIterator["Pause"]:
    """Give a handler of the same database that waits at a step until it is let go on."""
    pause = Pause(core.pool, at)
    yield pause
    pause.go_on.set()


class Pause:
    """A handler that stops once at a named step."""

    def __init__(self, pool: asyncpg.Pool, at: str) -> None:
        self._at = at
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.handler = IngestHandler(pool, step=self._step)

    async def _step(self, name: str) -> None:
        if name == self._at:
            self.reached.set()
            await self.go_on.wait()


async def test_refused_envelope_is_set_aside_alone_and_its_neighbours_are_stored(
    core: "Core", edge: "Edge"
) -> None:
    await refuse(core, "NEW.num = 66.6")
    batch = [edge.frame("speed", float(at), NOON + at * SECOND) for at in range(500)]
    batch[317] = edge.frame("speed", 66.6, NOON + 317 * SECOND)

    outcomes = await core.take(*batch)

    assert outcomes[317] == "dead_lettered: refused_by_database"
    assert outcomes[:317] + outcomes[318:] == ["accepted"] * 499
    assert {value for *_, value in await core.history()} == {
        float(at) for at in range(500) if at != 317
    }
    assert (await core.latest())["bus_1", SPEED] == (NOON + 499 * SECOND, 499.0)
    assert await core.dead_letters() == [(f"edge-1/{EPOCH}/500", -1, "refused_by_database")]
    detail = await core.pool.fetchval("SELECT detail FROM dead_letters")
    assert detail == "SQLSTATE 23514: not this one"


async def test_several_refused_envelopes_are_each_found(core: "Core", edge: "Edge") -> None:
    await refuse(core, "NEW.num < 0", sqlstate="22003")
    values = [-1.0, 5.0, -2.0, -3.0, 8.0, -4.0]

    outcomes = await core.take(*(edge.frame("current", value, NOON) for value in values))

    assert [outcome.partition(":")[0] for outcome in outcomes] == [
        "dead_lettered", "accepted", "dead_lettered", "dead_lettered", "conflict", "dead_lettered",
    ]  # fmt: skip
    assert len(await core.history()) == 2


async def test_refused_envelope_of_a_neighbour_fails_nobody_else(
    core: "Core", edge: "Edge"
) -> None:
    await refuse(core, "NEW.num = 66.6")
    deliveries = [
        Delivery([edge.frame("speed", value, vehicle=bus)], Door.HTTP, ANYBODY)
        for bus, value in [("bus_1", 1.0), ("bus_2", 66.6), ("bus_3", 3.0)]
    ]

    results = await core.handler.handle_together(deliveries)

    assert [result[0].kind.value if isinstance(result, list) else result for result in results] == [
        "accepted",
        "dead_lettered",
        "accepted",
    ]


async def test_statement_of_a_door_runs_again_when_the_batch_is_repeated(
    core: "Core", edge: "Edge"
) -> None:
    await refuse(core, "NEW.num = 66.6")
    await core.pool.execute("CREATE TABLE cursors (at int PRIMARY KEY)")
    runs = 0

    async def advance(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        await connection.execute("INSERT INTO cursors VALUES (1)")
        if runs == 1:
            raise asyncpg.DeadlockDetectedError("made up")

    outcomes = await core.take(
        edge.frame("speed", 66.6), edge.frame("speed", 1.0), within=[advance]
    )

    assert outcomes == ["dead_lettered: refused_by_database", "accepted"]
    assert runs == 2
    assert await core.count("cursors") == 1


Trouble: TypeAlias = Callable[[str], Exception]


@pytest.mark.parametrize("trouble", [asyncpg.DeadlockDetectedError, asyncpg.SerializationError])
async def test_contention_repeats_the_batch(core: "Core", edge: "Edge", trouble: Trouble) -> None:
    tries = 0

    async def contend(step: str) -> None:
        nonlocal tries
        if step == "history":
            tries += 1
            if tries < 4:
                raise trouble("made up")

    handler = IngestHandler(core.pool, step=contend)

    outcomes = await handler.handle(
        [edge.frame("speed", 1.0), edge.frame("speed", 1.0)], door=Door.HTTP, principal=ANYBODY
    )

    assert [outcome.kind.value for outcome in outcomes] == ["accepted", "duplicate"]
    assert tries == 4
    assert await core.count("settlements") == 2


async def test_contention_without_end_is_an_unavailable_store(
    core: "Core", edge: "Edge", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core_ingest.handler._FIRST_PAUSE", 0.0)

    async def contend(_step: str) -> None:
        raise asyncpg.DeadlockDetectedError("made up")

    handler = IngestHandler(core.pool, step=contend)

    with pytest.raises(StoreUnavailable, match="met other ones"):
        await handler.handle([edge.frame("speed", 1.0)], door=Door.HTTP, principal=ANYBODY)
    assert await core.count("history") == 0


@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
async def test_victim_of_a_deadlock_or_a_serialization_failure_begins_again(
    core: "Core", edge: "Edge", sqlstate: str
) -> None:
    await core.pool.execute(
        f"""
        CREATE SEQUENCE attempts;
        CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('attempts') = 1 THEN  -- a sequence is not rolled back
                RAISE EXCEPTION 'chosen as the victim' USING ERRCODE = '{sqlstate}';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER fail_once BEFORE INSERT ON latest
            FOR EACH STATEMENT EXECUTE FUNCTION fail_once();
        """
    )

    assert await core.take(*(edge.frame("speed", 2.0, NOON, bus) for bus in BUSES)) == [
        "accepted",
        "accepted",
    ]
    assert await core.pool.fetchval("SELECT last_value FROM attempts") == 2
    assert await core.pool.fetchval("SELECT count(*) FROM history") == 2


BUSES = ("bus_1", "bus_2")


async def test_forgetting_by_one_batch_leaves_those_on_their_way_alone(
    core: "Core", edge: "Edge"
) -> None:
    await refuse(core, "NEW.num = 66.6")
    async with pausing(core, "locked") as pause:
        handling = asyncio.ensure_future(
            pause.handler.handle([edge.frame("speed", 1.0)], door=Door.HTTP, principal=ANYBODY)
        )
        await pause.reached.wait()
        pause.handler._preparation.forget()
        pause.go_on.set()

        assert [outcome.kind.value for outcome in await handling] == ["accepted"]


async def test_assets_that_the_database_lost_are_made_anew(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0))
    # as after a failover to a copy that had not heard of this asset yet
    await core.pool.execute("TRUNCATE assets, vehicle_assets, history, latest, settlements")

    assert await core.take(edge.frame("speed", 2.0)) == ["accepted"]

    assert await core.history() == {("bus_1", SPEED, NOON, 2.0)}
    assert await core.count("vehicle_assets") == 1


async def test_database_that_lacks_the_schema_says_what_to_run(
    postgres_url: str, edge: "Edge"
) -> None:
    pool = await connect(postgres_url)
    try:
        with pytest.raises(SchemaOutdated, match="ingress migrate"):
            await IngestHandler(pool).handle(
                [edge.frame("speed", 1.0)], door=Door.HTTP, principal=ANYBODY
            )
    finally:
        await pool.close()


@pytest.fixture
def own_server() -> Iterator[OwnPostgres]:
    with (
        tempfile.TemporaryDirectory(prefix="ingress-outage-") as directory,
        running_postgres(Path(directory)) as server,
    ):
        if not isinstance(server, OwnPostgres):
            pytest.skip("somebody else's server (INGRESS_DATABASE_URL) is not ours to stop")
        yield server


async def test_database_that_goes_away_pauses_and_nothing_is_dead_lettered(
    own_server: OwnPostgres, edge: "Edge"
) -> None:
    await migrate(own_server.url)
    pool = await connect(own_server.url)
    gone_at = ["stored", "locked"]

    async def go_away(step: str) -> None:
        if gone_at and step == gone_at[0]:
            gone_at.pop()
            await asyncio.to_thread(own_server.stop)

    handler = IngestHandler(pool, step=go_away)

    async def take(value: float) -> list[str]:
        outcomes = await handler.handle(
            [edge.frame("speed", value)], door=Door.HTTP, principal=ANYBODY
        )
        return [outcome.kind.value for outcome in outcomes]

    try:
        for _ in range(len(gone_at)):
            with pytest.raises(StoreUnavailable):  # in the middle
                await take(1.0)
            with pytest.raises(StoreUnavailable):  # from the beginning
                await take(1.0)
            await asyncio.to_thread(own_server.start)

        assert await pool.fetchval("SELECT count(*) FROM history") == 0
        assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0
        assert await take(1.0) == ["accepted"]
    finally:
        await pool.close()
