"""A real websocket server that plays ViriCiti as a test tells it to, and a clock to tell the time."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

if TYPE_CHECKING:
    from http import HTTPStatus

Behaviour = Callable[[ServerConnection], Awaitable[None]]


def frame(number: int, vehicle: str = "arcc_004") -> str:
    payload = {"vid": vehicle, "label": "soc", "value": number, "time": 1_700_000_000_000 + number}
    return json.dumps({"type": "vehicles", "payload": payload})


class ProviderServer:
    """Echoes subscriptions, then behaves; the last behaviour stays. `refuse` is a status."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.subscriptions: list[object] = []
        self.behaviours: list[Behaviour] = []
        self.refuse: HTTPStatus | None = None
        self.echo = True
        self._server: Server | None = None

    async def start(self) -> None:
        self._server = await serve(
            self._handle, "127.0.0.1", 0, process_request=self._admit, ping_interval=None
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/api/v2/live"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        return None if self.refuse is None else connection.respond(self.refuse, "no\n")

    async def _handle(self, connection: ServerConnection) -> None:
        try:
            subscription = await connection.recv()
            self.subscriptions.append(json.loads(subscription))
            if self.echo:
                await connection.send(subscription)
            if self.behaviours:
                behave = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
                await behave(connection)
            else:
                await connection.wait_closed()
        except ConnectionClosed:
            pass


class FakeClock:
    """Time moves only when a test says so. `slept` lists what was asked for."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now = 1_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._asked = asyncio.Event()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, woken))
        self._asked.set()
        try:
            await woken
        finally:
            self._sleepers = [one for one in self._sleepers if one[1] is not woken]

    async def asleep(self) -> None:
        """Return once somebody sleeps."""
        while not self._sleepers:
            self._asked.clear()
            await self._asked.wait()

    async def advance(self, seconds: float) -> None:
        """Wait until somebody sleeps, then let `seconds` pass."""
        await self.asleep()
        self._now += seconds
        for due, woken in self._sleepers:
            if due <= self._now and not woken.done():
                woken.set_result(None)
        self._sleepers = [one for one in self._sleepers if not one[1].done()]
