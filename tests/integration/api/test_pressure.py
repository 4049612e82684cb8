"""What happens under pressure: full process, busy key, clients that hang up, a lost database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio
import pytest
import uvicorn

from core_api import services
from core_api.keys import Role
from core_api.server import Server
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.store.identities import vehicle_id
from ingress_contracts import http

pytestmark = pytest.mark.anyio

VEHICLE = f"/v1/workspaces/acme/vehicles/{vehicle_id('acme', 'viriciti', 'bus_1')}"


class Gate:
    """Holds every commit until it is opened."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    def handler(self, pool: Any, **more: Any) -> Any:
        inner = IngestHandler(pool, **more)
        gate = self

        class Gated:
            async def handle_together(self, deliveries: Sequence[Delivery], **more: Any) -> Any:
                gate.entered.set()
                await gate.open.wait()
                return await inner.handle_together(deliveries, **more)

        return Gated()


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    monkeypatch.setattr(services, "IngestHandler", made.handler)
    return made


async def test_full_process_answers_503_with_retry_after_and_loses_nothing(
    open_api: Any, messages: Any, gate: Gate
) -> None:
    async with open_api(max_envelopes=2, work_envelopes=2) as api:
        key = await api.key(Role.INGEST)
        first = asyncio.create_task(
            api.send([messages.frame("soc", 1.5), messages.frame("odo", 1.5)], key)
        )
        await gate.entered.wait()

        refused = await api.send([messages.frame("speed", 1.5)], key)
        gate.open.set()
        accepted = await first
        again = await api.send([messages.frame("speed", 1.5)], key)

    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:telematics-ingress:problem:overloaded"
    assert int(refused.headers["retry-after"]) > 0
    assert (accepted.status_code, again.status_code) == (200, 200)


async def test_bytes_in_work_are_bounded_too(open_api: Any, messages: Any, gate: Gate) -> None:
    mebibyte = 1024 * 1024
    async with open_api(work_bytes=mebibyte, max_expanded_bytes=mebibyte) as api:
        key = await api.key(Role.INGEST)
        large = messages.frame("note", "x" * 250)
        padded = http.encode_batch([large] * 3) + b" " * (mebibyte - 10_000)
        first = asyncio.create_task(
            api.client.post(
                "/v1/provider-ingest",
                content=padded,
                headers={"content-type": http.BATCH, **key},
            )
        )
        await gate.entered.wait()
        refused = await api.send([messages.frame("note", "y" * 250)] * 20, key)
        gate.open.set()
        accepted = await first

    assert refused.status_code == 503
    assert "bytes" in refused.json()["detail"]
    assert accepted.status_code == 200


async def test_key_with_too_many_requests_in_work_gets_429_and_others_proceed(
    open_api: Any, messages: Any, gate: Gate
) -> None:
    async with open_api(requests_per_key=1) as api:
        key, other = await api.key(Role.INGEST), await api.key(Role.INGEST)
        first = asyncio.create_task(api.send([messages.frame("soc", 1.5)], key))
        await gate.entered.wait()

        refused = await api.send([messages.frame("odo", 1.5)], key)
        second = asyncio.create_task(api.send([messages.frame("odo", 1.5)], other))
        gate.open.set()
        answers = [await first, await second]

    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:telematics-ingress:problem:too-many-requests"
    assert int(refused.headers["retry-after"]) > 0
    assert [answer.status_code for answer in answers] == [200, 200]


@asynccontextmanager
async def on_a_socket(app: Any) -> AsyncIterator[uvicorn.Server]:
    """Serve `app`, whose lifespan is open, on a real socket."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, ws="none")
    listening = asyncio.Event()
    server = Server(config, listening.set)
    serving = asyncio.create_task(server.serve())
    await listening.wait()
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


async def connected(server: uvicorn.Server) -> asyncio.StreamWriter:
    port = server.servers[0].sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    return writer


async def hang_up(server: uvicorn.Server, writer: asyncio.StreamWriter) -> None:
    """Reset the connection, and return once the server has noticed."""
    writer.transport.abort()
    await until(lambda: not server.server_state.connections)


async def until(condition: Callable[[], bool]) -> None:
    """Return once the server is so; it has no event for it."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 — uvicorn's state is plain sets
            await asyncio.sleep(0.001)


def head(key: dict[str, str], length: int) -> bytes:
    return (
        f"POST /v1/provider-ingest HTTP/1.1\r\nhost: core\r\ncontent-type: {http.BATCH}\r\n"
        f"authorization: {key['authorization']}\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


async def test_client_that_hangs_up_never_cancels_the_commit(
    open_api: Any, messages: Any, gate: Gate
) -> None:
    async with open_api() as api, on_a_socket(api.app) as server:
        body = http.encode_batch([messages.frame("soc", 57.5)])
        writer = await connected(server)
        writer.write(head(await api.key(Role.INGEST), len(body)) + body)
        await gate.entered.wait()

        await hang_up(server, writer)
        gate.open.set()
        await api.services.commits.close()
        vehicle = await api.client.get(VEHICLE, headers=await api.key(Role.READ))

    assert [reading["value"] for reading in vehicle.json()["signals"]] == [57.5]


async def test_client_that_hangs_up_in_its_body_leaves_nothing_in_work(
    open_api: Any, messages: Any
) -> None:
    async with open_api(requests_per_key=1) as api, on_a_socket(api.app) as server:
        key = await api.key(Role.INGEST)
        writer = await connected(server)
        writer.write(head(key, 1_000) + b"[")
        await until(lambda: bool(api.services.admission._requests))
        busy = await api.send([], key)

        await hang_up(server, writer)
        await until(lambda: not server.server_state.tasks)
        answer = await api.send([messages.frame("soc", 57.5)], key)

    assert (busy.status_code, answer.status_code) == (429, 200)


async def test_process_that_shuts_down_answers_503(open_api: Any, messages: Any) -> None:
    async with open_api() as api:
        key = await api.key(Role.INGEST)
        await api.services.commits.close()
        answer = await api.send([messages.frame("soc", 57.5)], key)

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:telematics-ingress:problem:shutting-down"
    assert int(answer.headers["retry-after"]) > 0


class Line:
    """A way to Postgres that can be cut and mended."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        user = self._target.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{self._port}" if user else f"127.0.0.1:{self._port}"
        return urlunsplit(self._target._replace(netloc=netloc))

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(
            self._target.hostname, self._target.port
        )
        self._writers += [writer, far_writer]
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.close()


async def test_lost_database_is_503_everywhere_and_never_500_and_comes_back(
    open_api: Any, messages: Any, database_url: str
) -> None:
    line = Line(database_url)
    await line.mend()
    async with open_api(url=line.url) as api:
        ingest, read = await api.key(Role.INGEST), await api.key(Role.READ)
        envelopes = [messages.frame("soc", 57.5)]
        assert await api.outcomes(envelopes, ingest) == ["accepted"]
        assert (await api.client.get(VEHICLE, headers=read)).status_code == 200
        assert (await api.client.get("/readyz")).status_code == 200

        await line.cut()
        sent = await api.send(envelopes, ingest)
        seen = await api.client.get(VEHICLE, headers=read)
        unknown = await api.client.get(VEHICLE, headers=await api.key(Role.READ))
        ready = await api.client.get("/readyz")
        alive = await api.client.get("/livez")

        await line.mend()
        assert await api.outcomes(envelopes, ingest) == ["duplicate"]
        assert (await api.client.get("/readyz")).status_code == 200
    await line.cut()

    for answer in (sent, seen, unknown):
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:telematics-ingress:problem:store-unavailable"
        assert int(answer.headers["retry-after"]) > 0
    assert ready.status_code == 503
    assert ready.json()["objections"] == ["The database cannot be reached."]
    assert alive.status_code == 200
