"""A dry run says what the replay then does, and the replay makes the facts that were missing.

Hypothesis draws the letters: of one adapter that was mended, of readings beside good ones, of
messages that are stored already, in any order, over several publishers; and the batches.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core_ingest.dead_letters.desk import desk
from core_ingest.dead_letters.filters import Filters
from core_ingest.dead_letters.replay import Plan, rehearse, replay, start
from core_ingest.door import Door, Principal
from core_ingest.handler import IngestHandler
from core_ingest.ledger.accounting import account
from core_ingest.reading import Interpretation, Uninterpretable
from core_ingest.store.database import connect
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CANONICAL_UPDATE, PROVIDER_MESSAGE

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 31, 23, 58, tzinfo=UTC)
TABLES = ("assets", "signals", "history", "latest", "settlements", "dead_letter_replays")


class Sent(NamedTuple):
    """A message, and whether the adapter that it met was broken."""

    vehicle: str
    publisher: str
    value: float | str
    minute: int
    received: int
    canonical: bool
    broken: bool


SENT = st.builds(
    Sent,
    vehicle=st.sampled_from("ab"),
    publisher=st.sampled_from(("edge-1", "edge-2")),
    value=st.sampled_from((1.0, 1.2, 2.0, 30.0, "x")),
    minute=st.integers(0, 4),
    received=st.sampled_from((0, 5, 60)),
    canonical=st.booleans(),
    broken=st.booleans(),
)


def envelope(number: int, sent: Sent) -> Envelope:
    """Return the message; a canonical one has a reading from the future and one too long beside it."""
    at = START + timedelta(minutes=sent.minute)
    if sent.canonical:
        readings = [
            {"signal": "Vehicle.Speed", "observed": at.isoformat(), "value": sent.value},
            {"signal": "viriciti.note", "observed": at.isoformat(), "value": "é" * 200},
            {
                "signal": "Vehicle.Speed",
                "observed": (at + timedelta(minutes=10)).isoformat(),
                "value": 3.0,
            },
        ]
        body: dict[str, object] = {
            "provider": "viriciti",
            "externalid": sent.vehicle,
            "readings": readings,
        }
    else:
        payload: dict[str, object] = {"vid": sent.vehicle, "label": "speed", "value": sent.value}
        body = {
            "type": "vehicles", "payload": payload | {"time": round(at.timestamp() * 1_000)},
        }  # fmt: skip
    return Envelope(
        id=str(number),
        source="/viriciti/acme/buses",
        type=CANONICAL_UPDATE if sent.canonical else PROVIDER_MESSAGE,
        provider="viriciti",
        workspaceid="acme",
        receivedtime=START + timedelta(minutes=sent.received),
        publisherid=sent.publisher,
        publisherepoch=UUID("01930000-0000-7000-8000-000000000001"),
        sequence=number,
        data=json.dumps(body).encode(),
    )


def broken(_data: bytes) -> Interpretation:
    raise Uninterpretable("not_understood", "this adapter knows no such frame")


@asynccontextmanager
async def emptied(url: str) -> AsyncIterator[asyncpg.Pool]:
    """Yield a pool of a database without facts."""
    pool = await connect(url, max_size=4)
    try:
        await pool.execute(
            "TRUNCATE history, latest, settlements, dead_letters, dead_letter_replays, "
            "dead_letter_runs, ledger_counts, ledger_blocks, ledger_epochs, vehicle_assets, assets,"
            " signals"
        )
        yield pool
    finally:
        await pool.close()


async def facts(pool: asyncpg.Pool, table: str) -> set[tuple[object, ...]]:
    rows = await pool.fetch(
        "SELECT a.external_id, s.name, h.observed, h.num::text, h.text FROM "  # noqa: S608 — ours
        f"{table} h JOIN assets a ON (a.workspace, a.id) = (h.workspace, h.asset)"
        " JOIN signals s ON s.id = h.signal"
    )
    return {tuple(row) for row in rows}


async def rest(_seconds: float) -> None:
    """Wait for nothing."""


async def sizes(pool: asyncpg.Pool) -> list[int]:
    return [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES]  # noqa: S608


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(SENT, min_size=1, max_size=14),
    order=st.randoms(use_true_random=False),
    size=st.integers(1, 6),
)
async def test_dry_run_agrees_with_the_replay_and_facts_are_those_of_a_mended_adapter(
    database_url: str, sent: list[Sent], order: Random, size: int
) -> None:
    numbers = {name: count() for name in ("edge-1", "edge-2")}
    envelopes = [(envelope(next(numbers[each.publisher]), each), each.broken) for each in sent]
    arrived = list(envelopes)
    order.shuffle(arrived)
    async with emptied(database_url) as pool:
        whole = IngestHandler(pool)
        for message, _ in envelopes:
            await whole.handle([message], door=Door.HTTP, principal=Principal())
        meant = [await facts(pool, table) for table in ("history", "latest")]

    async with emptied(database_url) as pool:
        good = IngestHandler(pool)
        bad = IngestHandler(pool, plugins={"viriciti": broken})
        for message, fails in arrived:
            handler = bad if fails else good
            await handler.handle([message], door=Door.HTTP, principal=Principal())
        accounted = await account(pool, "acme")
        before = await sizes(pool)
        plan = Plan(Filters(), size=size)
        async with desk(pool, "acme") as open_desk:
            run, _ = await start(open_desk, plan, anew=False)
            said = await rehearse(open_desk, plan, run)
            after = await sizes(pool)
            report = await replay(
                open_desk, plan, run,
                clock=lambda: 0.0, rest=rest, stopped=lambda: False, told=lambda _: None,
            )  # fmt: skip

        assert report.tally == said
        assert before == after
        assert [await facts(pool, table) for table in ("history", "latest")] == meant
        replayed = await account(pool, "acme")
        assert replayed.received == accounted.received == len(sent)
        assert replayed.dead_lettered == accounted.dead_lettered
        assert replayed.redelivered == said.messages
