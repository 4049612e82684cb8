"""A whole API over a real database, in this event loop; messages to send to it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from core_api.app import create_app
from core_api.key_store import KeyStore
from core_api.keys import Role
from core_api.services import Services, open_services
from core_api.settings import ApiSettings
from core_ingest.store import database
from core_ingest.store.database import DatabaseSettings
from core_ingest.store.identities import vehicle_id
from ingress_contracts import http, kinds
from ingress_contracts.content_id import content_id
from ingress_contracts.envelope import Envelope

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")


@dataclass(frozen=True)
class Api:
    """A running API: its application, a client of it, its database and the keys in it."""

    app: FastAPI
    client: httpx.AsyncClient
    pool: asyncpg.Pool
    keys: KeyStore

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    async def key(
        self, role: Role, workspace: str | None = "acme", publisher: str | None = None
    ) -> dict[str, str]:
        """Make a key and return the header that carries it."""
        if role is Role.INGEST and publisher is None:
            publisher = "edge-1"
        made = await self.keys.create(role, workspace, publisher)
        return {"authorization": f"Bearer {made.text}"}

    async def link(self, asset: str, vehicle_of: str) -> None:
        """Make the vehicle of asset `vehicle_of` that of `asset` too."""
        await self.pool.execute(
            "UPDATE vehicle_assets SET vehicle = $1 "
            "WHERE asset = (SELECT id FROM assets WHERE external_id = $2)",
            vehicle_id("acme", "viriciti", vehicle_of),
            asset,
        )

    async def send(
        self, envelopes: Sequence[Envelope], key: dict[str, str], **more: Any
    ) -> httpx.Response:
        """Post a batch."""
        return await self.client.post(
            "/v1/provider-ingest",
            content=http.encode_batch(envelopes),
            headers={"content-type": http.BATCH, **key},
            **more,
        )

    async def outcomes(self, envelopes: Sequence[Envelope], key: dict[str, str]) -> list[str]:
        """Post a batch and return its outcomes, which must be there."""
        answer = await self.send(envelopes, key)
        assert answer.status_code == 200, answer.text
        return [item.outcome for item in http.decode_answer(answer.content).outcomes]


OpenApi = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def open_api(database_url: str) -> OpenApi:
    """Open an API over a fresh database; arguments are settings, and `url` another way to it."""

    @asynccontextmanager
    async def opened(url: str = database_url, **settings: Any) -> AsyncIterator[Api]:
        app = create_app(
            partial(open_services, ApiSettings(**settings), DatabaseSettings(url=SecretStr(url)))
        )
        transport = httpx.ASGITransport(app)
        pool = await database.connect(database_url, max_size=2)
        try:
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://core") as client,
            ):
                yield Api(app, client, pool, KeyStore(pool))
        finally:
            await pool.close()

    return opened


@pytest.fixture
async def api(open_api: OpenApi) -> AsyncIterator[Api]:
    async with open_api() as opened:
        yield opened


class Messages:
    """Makes envelopes of one publisher, numbered from 0 as a journal numbers them."""

    def __init__(self) -> None:
        self._next = 0

    def frame(
        self,
        label: str,
        value: float | str,
        observed: datetime = NOON,
        vehicle: str = "bus_1",
        *,
        workspace: str = "acme",
        publisher: str = "edge-1",
        received: datetime | None = None,
    ) -> Envelope:
        """Return one ViriCiti datapoint as the edge sends it."""
        millis = round(observed.timestamp() * 1000)
        shown = f'"{value}"' if isinstance(value, str) else repr(value)
        data = (
            f'{{"type":"vehicles","payload":{{"vid":"{vehicle}","label":"{label}",'
            f'"value":{shown},"time":{millis}}}}}'
        ).encode()
        sequence = self._next
        self._next += 1
        return Envelope(
            id=str(content_id(kinds.PROVIDER_MESSAGE, "viriciti", workspace, data)),
            source=f"/viriciti/{workspace}/buses",
            type=kinds.PROVIDER_MESSAGE,
            subject=vehicle,
            datacontenttype="application/json",
            provider="viriciti",
            workspaceid=workspace,
            receivedtime=received or observed + timedelta(seconds=1),
            publisherid=publisher,
            publisherepoch=EPOCH,
            sequence=sequence,
            data=data,
        )


@pytest.fixture
def messages() -> Messages:
    return Messages()
