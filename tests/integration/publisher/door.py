"""A real HTTP server that plays core's ingest door as a test tells it to."""

import asyncio
import gzip
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ingress_contracts.envelope import Envelope
from ingress_contracts.http import Answer, Malformed, Said, decode, encode_answer


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def items(self) -> list[Envelope | Malformed]:
        return decode(self.headers, gzip.decompress(self.raw))

    @property
    def envelopes(self) -> list[Envelope]:
        return [item for item in self.items if isinstance(item, Envelope)]


@dataclass(frozen=True)
class Reply:
    """`status` None cuts the connection; `late` waits for that event first."""

    status: int | None = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    late: asyncio.Event | None = None


def accept(request: Request, refused: Sequence[int] = (), reason: str = "invalid_data") -> Reply:
    outcomes: list[Said] = [
        (one.id, "refused", reason, None) if at in refused else (one.id, "accepted", None, None)
        for at, one in enumerate(request.items)
    ]
    return Reply(200, encode_answer(outcomes))


class Door:
    """Records what it accepts. `reply` decides; `script` decides first while it lasts."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.accepted: list[Envelope] = []
        self.script: list[Callable[[Request], Reply]] = []
        self.reply: Callable[[Request], Reply] = accept
        self._came = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)
        await self._server.wait_closed()

    async def until(self, condition: Callable[["Door"], bool]) -> None:
        """Return once `condition` holds, asked again after every request and answer."""
        while not condition(self):
            self._came.clear()
            await self._came.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in fields)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = line.split(" ")
        request = Request(method, path, headers, body)
        self.requests.append(request)
        self._came.set()
        reply = self.script.pop(0)(request) if self.script else self.reply(request)
        if reply.late is not None:
            await reply.late.wait()
        if reply.status == 200 and b'"outcomes"' in reply.body:
            outcomes = Answer.model_validate_json(reply.body).outcomes
            refused = {one.index for one in outcomes if one.outcome == "refused"}
            self.accepted += [one for at, one in enumerate(request.envelopes) if at not in refused]
        self._came.set()
        if reply.status is None:
            return False
        lines = [f"HTTP/1.1 {reply.status} Status", f"content-length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
        await writer.drain()
        return True
