"""A road to a TCP server that can be made slow, or be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

_CHUNK = 65_536
_MOST_ON_THE_ROAD = 64
"""Chunks in either direction; whoever sends more has to wait."""


class Proxy:
    """Forwards connections from a free port of 127.0.0.1 to `host`:`port`.

    Each chunk of bytes takes `delay` seconds on its way, in either direction. While `cut`, new
    connections are reset at once.
    """

    def __init__(self, host: str, port: int) -> None:
        self.delay = 0.0
        self.cut = False
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port to connect to, while `serving`."""
        if self._server is None:
            raise RuntimeError("the proxy does not serve yet")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Listen for as long as the context lasts; at its end all connections are cut."""
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            await self.hang_up()

    async def hang_up(self) -> None:
        """Reset all connections that there are."""
        for conversation in self._conversations:
            conversation.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)
        with suppress(OSError, asyncio.CancelledError):
            if self.cut:
                writer.transport.abort()
                return
            try:
                there, back = await asyncio.open_connection(*self._target)
            except OSError:
                writer.transport.abort()
                return
            try:
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._forward(reader, back))
                    ways.create_task(self._forward(there, writer))
            except* OSError:
                pass  # one side is gone: so is the other, below
            finally:
                back.transport.abort()
                writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, each chunk `delay` after it came: a long road, not a narrow one."""
        road: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_ON_THE_ROAD)
        now = asyncio.get_running_loop().time

        async def set_out() -> None:
            while chunk := await reader.read(_CHUNK):
                await road.put((now() + self.delay, chunk))
            await road.put((now() + self.delay, b""))

        async with asyncio.TaskGroup() as halves:
            halves.create_task(set_out())
            while True:
                due, chunk = await road.get()
                await asyncio.sleep(due - now())
                if not chunk:
                    raise ConnectionResetError("the other side hung up")
                writer.write(chunk)
                await writer.drain()
