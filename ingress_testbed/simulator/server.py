"""The simulated provider: a websocket server."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from ingress_testbed.recordings import Extent, Recording
from ingress_testbed.simulator.clock import SYSTEM_CLOCK, Clock
from ingress_testbed.simulator.habits import GOOD, Habit, Habits
from ingress_testbed.simulator.line import Line
from ingress_testbed.simulator.protocol import (
    LIVE_PATH,
    STATUS_PATH,
    BadRequest,
    Request,
    error_message,
    read_request,
    read_subscription,
)
from ingress_testbed.simulator.sent import SentTo
from ingress_testbed.simulator.subscriber import Feed, Subscriber, end
from ingress_testbed.simulator.timeline import MAX_SPEED, Timeline, shift_to_now

_LOCAL = "127.0.0.1"
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_PING_EVERY_SECONDS = 20.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Manner:
    """How to replay: at which speed, moved to now (see shift_to_now) or not.

    `auth_delay` is what the provider takes between the echo and the first data, in seconds. The
    recording ends `seconds` after the first data, wherever it is then.
    """

    speed: float = MAX_SPEED
    rebase: bool = False
    auth_delay: float = 0.0
    seconds: float = math.inf


class Simulator:
    """Serves one recording to everybody who has a key.

    Each key has its own place (one for each set of vehicles that it subscribes to), which survives
    reconnects. A second connection with the same key and vehicles begins there too, and both get
    the frames from then on. At the end of the recording the socket stays open and silent. It has
    the bad habits that it is told to have.
    """

    def __init__(  # noqa: PLR0913 — what it replays and how, all of it optional but the first two
        self,
        recording: Recording,
        *,
        keys: Mapping[str, str],
        manner: Manner = Manner(),
        clock: Clock = SYSTEM_CLOCK,
        habits: Habits = GOOD,
        sent_to: SentTo | None = None,
    ) -> None:
        """`keys` are the secrets by name; `sent_to` is told of all messages but echoes."""
        self._recording = recording
        self._manner = manner
        self._rebase = manner.rebase
        self._clock = clock
        self._timeline = Timeline(manner.speed, clock, manner.seconds)
        feed = Feed(self._begun, self._timeline, clock, manner.auth_delay, habits, sent_to)
        self._by_secret = {secret: Subscriber(name, feed) for name, secret in keys.items()}
        self._by_name = {one.name: one for one in self._by_secret.values()}
        # Who plays dead must not ask whether the client is alive, and close when it hears nothing.
        self._ping_every = None if Habit.HALF_OPEN in habits else _PING_EVERY_SECONDS
        self._extent = Extent(0, 0, 0)
        self._host = _LOCAL
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The socket's address, without a key."""
        return f"ws://{self._host}:{self.port}{LIVE_PATH}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("the simulator does not serve yet")
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    @asynccontextmanager
    async def serving(self, port: int = 0, host: str = _LOCAL) -> AsyncIterator["Simulator"]:
        """Listen on `host` at `port` (0: a free one) for as long as the context lasts.

        Raises RecordingError if the recording cannot be read, OSError if the address is no
        address of this machine, or its port is taken.
        """
        self._host = host
        self._extent = await asyncio.to_thread(self._recording.extent)
        try:
            async with serve(
                self._converse,
                host,
                port,
                process_request=self._answer,
                compression=None,
                max_size=_MAX_MESSAGE_BYTES,
                ping_interval=self._ping_every,
            ) as self._server:
                try:
                    yield self
                finally:
                    for subscriber in self._by_secret.values():
                        subscriber.cut_silent_lines()
        finally:
            for subscriber in self._by_secret.values():
                subscriber.close()

    async def revoke(self, name: str) -> None:
        """Revoke the key of that name: close its sockets, and answer 401 from now on."""
        await self._by_name[name].revoke()

    def restore(self, name: str) -> None:
        """Let a revoked key in again."""
        self._by_name[name].revoked = False

    def end_recording(self) -> None:
        """Let the recording end here: who is connected gets no more frames."""
        self._timeline.end()

    def status(self) -> dict[str, Any]:
        """Return what `GET /status` answers; `shift_ms` is what rebasing added to all times."""
        return {
            "frames_total": self._extent.frames,
            "shift_ms": self._recording.shift,
            "keys": {name: one.status() for name, one in self._by_name.items()},
        }

    def _answer(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        """Answer plain HTTP, refuse who has no key; None lets the websocket's handshake go on."""
        try:
            asked = _read(request)
        except BadRequest as error:
            return connection.respond(HTTPStatus.BAD_REQUEST, f"{error}\n")
        if asked.path == STATUS_PATH:
            response = connection.respond(HTTPStatus.OK, json.dumps(self.status()) + "\n")
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "application/json"
            return response
        if asked.path != LIVE_PATH:
            return connection.respond(
                HTTPStatus.NOT_FOUND, f"there are {LIVE_PATH} and {STATUS_PATH}\n"
            )
        subscriber = self._by_secret.get(asked.api_key or "")
        if subscriber is None:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "this API key is not known\n")
        if subscriber.revoked:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "this API key was revoked\n")
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        """Serve one connection: each subscription is echoed, and replaces the one before."""
        asked = _read(connection.request)
        subscriber = self._by_secret[asked.api_key or ""]
        line = Line(connection)
        subscriber.lines.add(line)
        log.info("subscriber_connected", key=subscriber.name)
        resend, feeding = asked.resend, None
        try:
            async for message in connection:
                try:
                    subscription = read_subscription(message)
                except BadRequest as error:
                    await connection.send(error_message(str(error)))
                    continue
                await end(feeding)
                await connection.send(message)
                feeding = asyncio.create_task(subscriber.feed_to(line, subscription, resend))
                resend = 0
        except ConnectionClosed:
            pass  # without a closing handshake; the provider does not mind
        finally:
            subscriber.lines.discard(line)
            log.info("subscriber_disconnected", key=subscriber.name, sent=subscriber.sent)
            await end(feeding)

    def _begun(self) -> Recording:
        """Return the recording; when the first subscriber's data begin, it begins, moved to now."""
        if self._rebase:
            shift = shift_to_now(self._extent, self._manner.speed, self._clock.epoch_ms())
            self._recording, self._rebase = self._recording.moved(shift), False
        self._timeline.start(self._extent.first + self._recording.shift)
        return self._recording


def _read(request: HttpRequest | None) -> Request:
    if request is None:
        raise AssertionError("the handshake is over, so there was a request")
    return read_request(request.path, request.headers.get("x-api-key"))
