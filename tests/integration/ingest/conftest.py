"""A handler over a real database, an edge that sends to it, and eyes on what it stored."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from core_ingest.door import Door, Principal
from core_ingest.handler import IngestHandler, Within
from core_ingest.ledger.accounting import Accounting, Terms, account
from core_ingest.ledger.settlements import Settlements
from core_ingest.outcome import Outcome
from core_ingest.reading import Value, of_columns
from core_ingest.store.database import connect
from core_ingest.store.transaction import Transaction
from ingress_contracts import kinds
from ingress_contracts.content_id import content_id
from ingress_contracts.envelope import Envelope

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
PARTS = (
    "accepted", "unchanged", "stale", "duplicate", "conflict", "empty", "quarantined",
    "dead_lettered", "dropped", "in_flight", "unaccounted",
)  # fmt: skip


@dataclass
class Edge:
    """A publisher of one workspace; it numbers its messages from 0, as a journal does."""

    workspace: str = "acme"
    publisher: str = "edge-1"
    epoch: UUID = EPOCH
    sequence: int = 0

    def envelope(
        self,
        type_: str,
        data: bytes,
        *,
        received: datetime = NOON,
        provider: str | None = "viriciti",
        numbered: bool = True,
    ) -> Envelope:
        """Return the next message."""
        sequence = self.sequence if numbered else None
        self.sequence += numbered
        return Envelope(
            id=str(content_id(type_, provider or "", self.workspace, data)),
            source=f"/viriciti/{self.workspace}/buses",
            type=type_,
            provider=provider,
            workspaceid=self.workspace,
            receivedtime=received,
            publisherid=self.publisher,
            publisherepoch=self.epoch,
            sequence=sequence,
            data=data,
        )

    def frame(
        self,
        label: str,
        value: Any,
        at: datetime | float = NOON,
        vehicle: str = "bus_1",
        *,
        received: datetime | None = None,
    ) -> Envelope:
        """Return a ViriCiti datapoint; `at` may be in ms. It is received a second after it."""
        time = at if not isinstance(at, datetime) else round(at.timestamp() * 1_000)
        payload = {"vid": vehicle, "label": label, "value": value, "time": time}
        data = json.dumps({"type": "vehicles", "payload": payload}).encode()
        if received is None:
            received = at + timedelta(seconds=1) if isinstance(at, datetime) else NOON
        return self.envelope(kinds.PROVIDER_MESSAGE, data, received=received)

    def canonical(self, *readings: tuple[str, datetime, Any], vehicle: str = "b8E2") -> Envelope:
        """Return a canonical update of provider geotab, received at NOON."""
        found = [
            {"signal": signal, "observed": observed.isoformat(), "value": value}
            for signal, observed, value in readings
        ]
        body = {"provider": "geotab", "externalid": vehicle, "readings": found}
        return self.envelope(kinds.CANONICAL_UPDATE, json.dumps(body).encode(), provider="geotab")

    def connection(self, state: str, stream: str = "buses") -> Envelope:
        """Return a connection message of NOON."""
        body = {"stream": stream, "state": state, "at": NOON.isoformat()}
        return self.envelope(kinds.CONNECTION, json.dumps(body).encode())

    def undeliverable(self, sequence: int, epoch: UUID | None = None) -> Envelope:
        """Return the report that `sequence` is too large to send."""
        target = {"epoch": str(epoch or self.epoch), "sequence": sequence}
        body = {**target, "reason": "too_large", "detail": "over the limit", "size": 600_000}
        return self.envelope(kinds.UNDELIVERABLE, json.dumps(body).encode())

    def checkpoint(
        self,
        number: int,
        first: int = 0,
        head: int | None = None,
        pending: Sequence[tuple[int, int]] = (),
        dropped: Sequence[tuple[int, int]] = (),
        *,
        closed: bool = False,
        routes: Sequence[dict[str, Any]] = ({"door": "http"},),
        copies: Sequence[dict[str, Any]] = (),
    ) -> Envelope:
        """Return a checkpoint of this edge's one epoch; `head` is the last number handed out."""
        epoch = {
            "epoch": str(self.epoch),
            "first": first,
            "head": self.sequence - 1 if head is None else head,
            "pending": pending,
            "dropped": dropped,
            "closed": closed,
        }
        body = {"number": number, "epochs": [epoch], "routes": list(routes)}
        if copies:
            body["copies"] = list(copies)
        return self.envelope(kinds.CHECKPOINT, json.dumps(body).encode(), numbered=False)


@dataclass
class Core:
    """A handler, its pool, and reads of its database by names instead of numbers."""

    pool: asyncpg.Pool
    handler: IngestHandler
    door: Door = Door.HTTP
    principal: Principal = field(default_factory=Principal)

    async def take(
        self, *envelopes: Envelope, door: Door | None = None, within: Sequence[Within] = ()
    ) -> list[str]:
        """Handle a batch and return its outcomes in short."""
        outcomes = await self.handler.handle(
            envelopes, door=door or self.door, principal=self.principal, within=within
        )
        return [short(outcome) for outcome in outcomes]

    async def history(self) -> set[tuple[str, str, datetime, Value]]:
        """Return (external id, signal's first name, observed, value) of all facts."""
        rows = await self.pool.fetch(
            "SELECT a.external_id, s.name, h.observed, h.num, h.lon, h.text FROM history h"
            " JOIN assets a ON (a.workspace, a.id) = (h.workspace, h.asset)"
            " JOIN signals s ON s.id = h.signal"
        )
        return {(*row[:3], of_columns(*row[3:])) for row in rows}

    async def latest(self) -> dict[tuple[str, str], tuple[datetime, Value]]:
        """Return (observed, value) by external id and signal's first name."""
        rows = await self.pool.fetch(
            "SELECT a.external_id, s.name, l.observed, l.num, l.lon, l.text FROM latest l"
            " JOIN assets a ON (a.workspace, a.id) = (l.workspace, l.asset)"
            " JOIN signals s ON s.id = l.signal"
        )
        return {(row[0], row[1]): (row[2], of_columns(*row[3:])) for row in rows}

    async def revision(self, vehicle: str = "bus_1") -> int:
        """Return how often the latest values of a vehicle have changed."""
        found: int = await self.pool.fetchval(
            "SELECT revision FROM assets WHERE external_id = $1", vehicle
        )
        return found

    async def dead_letters(self) -> list[tuple[str, int, str]]:
        """Return (origin, index, reason) in the order of the key."""
        rows = await self.pool.fetch(
            "SELECT origin, index, reason FROM dead_letters ORDER BY workspace, origin, index"
        )
        return [tuple(row) for row in rows]

    async def settle(
        self,
        edge: Edge,
        numbers: Iterable[int],
        outcome: str = "accepted",
        door: Door = Door.HTTP,
    ) -> None:
        """Append settlements of `edge` in one transaction, as the handler does."""
        settlements = Settlements(0)
        workspace = await self._number_of(edge.workspace)
        for number in numbers:
            settlements.settle(workspace, edge.publisher, edge.epoch, door, outcome, number, 0)
        async with self.pool.acquire() as connection, connection.transaction():
            await Transaction(connection).append_settlements(settlements.rows())

    async def _number_of(self, workspace: str) -> int:
        await self.pool.execute(
            "INSERT INTO workspaces (name) VALUES ($1) ON CONFLICT DO NOTHING", workspace
        )
        found: int = await self.pool.fetchval(
            "SELECT id FROM workspaces WHERE name = $1", workspace
        )
        return found

    async def accounted(self, workspace: str = "acme") -> dict[str, int]:
        """Return a workspace's terms that are not zero; the equation must hold."""
        return shown(await self._accounting(workspace))

    async def accounted_apart(self, workspace: str = "acme") -> dict[str, dict[str, int]]:
        """Return the same of each publisher."""
        found = await self._accounting(workspace)
        return {each.publisher: shown(each) for each in found.publishers}

    async def _accounting(self, workspace: str) -> Accounting:
        found = await account(self.pool, workspace)
        assert holds(found)
        return found

    async def row(self, query: str) -> asyncpg.Record:
        """Return the one row that a query finds."""
        (found,) = await self.pool.fetch(query)
        return found

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        found: int = await self.pool.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 — ours
        return found


def short(outcome: Outcome) -> str:
    """Return an outcome as `kind`, or `kind: reason`."""
    return outcome.kind.value if outcome.reason is None else f"{outcome.kind}: {outcome.reason}"


def shown(terms: Terms) -> dict[str, int]:
    """Return the terms that are not zero."""
    return {
        name: value for name in Terms.model_fields if (value := getattr(terms, name)) and value > 0
    }


def holds(found: Accounting) -> bool:
    """Return whether the equation holds, in the whole and for each publisher; the whole is the sum."""
    accounts: list[Terms] = [found, *found.publishers]
    return all(
        each.received == sum(getattr(each, part) for part in PARTS)
        and each.stranded <= each.in_flight
        for each in accounts
    ) and all(
        getattr(found, name) == sum(getattr(each, name) for each in found.publishers)
        for name in Terms.model_fields
    )


@pytest.fixture
def edge() -> Edge:
    return Edge()


@pytest.fixture
async def core(database_url: str) -> AsyncIterator[Core]:
    pool = await connect(database_url, max_size=6)
    try:
        yield Core(pool, IngestHandler(pool))
    finally:
        await pool.close()
