"""Many handlers over the same assets and fresh months: no deadlock, nothing lost, nothing twice."""

import asyncio
import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from core_ingest.door import Door, Principal
from core_ingest.handler import IngestHandler
from core_ingest.store.database import connect
from core_ingest.store.transaction import AssetKey, Transaction
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import PROVIDER_MESSAGE

pytestmark = pytest.mark.anyio

HANDLERS = 6
BATCHES = 8
BATCH = 40
VEHICLES = [f"bus-{number}" for number in range(12)]
MONTHS = [1_451_606_400_000 + month * 31 * 86_400_000 for month in range(12)]  # from 2016 on
RECEIVED = datetime(2026, 11, 1, tzinfo=UTC)


def readings(dice: random.Random) -> list[tuple[str, int]]:
    """A batch: vehicles and times in any order, shared with the other handlers' batches."""
    return [(dice.choice(VEHICLES), dice.choice(MONTHS) + dice.randrange(3)) for _ in range(BATCH)]


def envelope(handler: int, sequence: int, vid: str, time: int) -> Envelope:
    payload = {"vid": vid, "label": "soc", "value": 50.0, "time": time}
    return Envelope(
        id="copy",
        source="/viriciti/acme/buses",
        type=PROVIDER_MESSAGE,
        subject=vid,
        provider="viriciti",
        workspaceid="acme",
        receivedtime=RECEIVED,
        publisherid=f"edge-{handler}",
        publisherepoch=UUID(int=handler),
        sequence=sequence,
        data=json.dumps({"type": "vehicles", "payload": payload}).encode(),
    )


async def handle_all(url: str) -> set[tuple[str, int]]:
    """Run the load and return the facts that were sent."""
    dice = random.Random(20)
    load = [[readings(dice) for _ in range(BATCHES)] for _ in range(HANDLERS)]
    pools = [await connect(url, max_size=3) for _ in range(HANDLERS)]

    async def work(number: int, pool: asyncpg.Pool) -> None:
        handler = IngestHandler(pool)
        for turn, batch in enumerate(load[number]):
            sent = [
                envelope(number, turn * BATCH + index, *reading)
                for index, reading in enumerate(batch)
            ]
            await handler.handle(sent, door=Door.HTTP, principal=Principal())

    try:
        async with asyncio.TaskGroup() as tasks:
            for number, pool in enumerate(pools):
                tasks.create_task(work(number, pool))
    finally:
        for pool in pools:
            await pool.close()
    return {reading for batches in load for batch in batches for reading in batch}


async def deadlocks(connection: asyncpg.Connection) -> int:
    """Count the deadlocks in this database, once the other sessions have reported theirs."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    while await connection.fetchval(others):  # noqa: ASYNC110 — they are other processes
        await asyncio.sleep(0)
    return int(
        await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    )


async def test_many_handlers_meet_no_deadlock_and_lose_no_fact(database_url: str) -> None:
    sent = await handle_all(database_url)

    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT a.external_id, (extract(epoch FROM h.observed) * 1000)::int8 "
            "FROM history h JOIN assets a ON (a.workspace, a.id) = (h.workspace, h.asset)"
        )
        newest = await connection.fetch(
            "SELECT a.external_id, (extract(epoch FROM l.observed) * 1000)::int8 "
            "FROM latest l JOIN assets a ON (a.workspace, a.id) = (l.workspace, l.asset)"
        )
        found = [tuple(row) for row in rows]
        assert len(found) == len(set(found))
        assert set(found) == sent
        assert {tuple(row) for row in newest} == {
            (vid, max(time for other, time in sent if other == vid)) for vid in VEHICLES
        }
        assert await deadlocks(connection) == 0
    finally:
        await connection.close()


async def test_the_same_load_without_the_order_of_locks_meets_deadlocks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold the test above against its purpose: it must notice when the order is gone."""
    dice = random.Random(3)

    async def lock_in_any_order(self: Transaction, assets: Iterable[AssetKey]) -> None:
        keys: Sequence[AssetKey] = list(assets)
        for workspace, number in dice.sample(keys, len(keys)):
            await self.connection.execute(
                "SELECT FROM assets WHERE workspace = $1 AND id = $2 FOR NO KEY UPDATE",
                workspace,
                number,
            )

    monkeypatch.setattr(Transaction, "lock", lock_in_any_order)
    monkeypatch.setattr("core_ingest.handler._ATTEMPTS", 1)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "DO $$ BEGIN EXECUTE format("
            "'ALTER DATABASE %I SET deadlock_timeout = ''10ms''', current_database()); END $$"
        )
        with pytest.raises(ExceptionGroup):
            await handle_all(database_url)
        assert await deadlocks(connection) > 0
    finally:
        await connection.close()
