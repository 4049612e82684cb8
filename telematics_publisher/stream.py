"""The runtime of one stream: connect, subscribe, read, and begin again whatever happens."""

import asyncio
import random as randomness
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import structlog
from prometheus_client import Counter, Gauge
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode

from ingress_contracts.control import Connection, ConnectionState
from ingress_runtime import faults
from ingress_runtime.backoff import Backoff, Random
from ingress_runtime.redact import redact_text
from telematics_publisher import traces
from telematics_publisher.clock import Microseconds, Seconds, wall_clock
from telematics_publisher.intake import Intake
from telematics_publisher.provider import ProviderStream, StreamEntry
from telematics_publisher.records import Record, connection_lane, instant, provider_lane
from telematics_publisher.retry import LONGEST_WISH, Sleep, parse_retry_after
from telematics_publisher.silence import Silence
from telematics_publisher.watchdog import Act, Patience, Watchdog

FRAMES = Counter("publisher_frames_received_total", "Frames read from providers.", ["provider"])
STREAMS = Gauge(
    "publisher_streams", "Streams by what they last reported of themselves.", ["provider", "state"]
)
CONNECTIONS = Counter(
    "publisher_connections_ended_total",
    "Connections that ended or never came about, by cause.",
    ["provider", "cause"],
)

ENDINGS = ("closed", "frame_too_big", "not_authorised", "refused", "silent", "unreachable")
"""Why connections end."""

MAX_FRAME_BYTES = 16 * 2**20
_WAITING_FRAMES = 256
_OPEN_SECONDS = 20.0
_CLOSE_SECONDS = 2.0
_NOT_AUTHORISED = (401, 403)
_LONGEST_REASON = 256
_PATIENCE = Patience()
_BACKOFF = Backoff(base=1.0, ceiling=60.0)
_SLOW_BACKOFF = Backoff(base=60.0, ceiling=600.0, floor=30.0)
_FRAME_TOO_BIG = (
    f"the provider sent a frame of more than {MAX_FRAME_BYTES} bytes: closed unread (1009)"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Manners:
    """How a stream treats its provider: waiting times and the sources of time and chance.

    `slow` is the backoff after a refused credential: somebody must act, so there is no hurry.
    A connection that lasted `stable` seconds counts as a success, and backoff begins anew.
    """

    patience: Patience = _PATIENCE
    backoff: Backoff = _BACKOFF
    slow: Backoff = _SLOW_BACKOFF
    stable: float = 60.0
    clock: Seconds = time.monotonic
    wall: Microseconds = wall_clock
    sleep: Sleep = asyncio.sleep
    random: Random = randomness.random


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection ended. `cause` is a bounded word for metrics, `reason` is for people."""

    cause: str
    reason: str
    retry_after: float | None = None


class Stream:
    """Reads one provider stream into an intake, for ever; cancel `run` to stop it."""

    def __init__(
        self,
        entry: StreamEntry,
        provider: ProviderStream,
        intake: Intake,
        manners: Manners | None = None,
    ) -> None:
        self.name = entry.name
        self.state: ConnectionState | None = None
        self._reason: str | None = None
        self._provider = provider
        self._intake = intake
        self._take_in = traces.choosing(faults.before(faults.Point.FRAME_READ, intake.put))
        self._manners = manners or Manners()
        self._timed = provider_lane(entry.provider, entry.source, timestamped=True)
        self._untimed = provider_lane(entry.provider, entry.source, timestamped=False)
        self._events = connection_lane(entry.provider, entry.source)
        self._label = entry.provider
        self._frames = FRAMES.labels(entry.provider)
        for cause in ENDINGS:
            CONNECTIONS.labels(entry.provider, cause)
        for state in ConnectionState:
            STREAMS.labels(entry.provider, state)
        self._log = log.bind(stream=entry.name, workspace=entry.workspace, provider=entry.provider)
        self._silence = Silence(entry.provider, entry.name, self._log)

    async def run(self) -> None:
        """Connect and read until cancelled; every end of a connection leads to the next one."""
        with self._silence.shown():
            await self._run()

    async def _run(self) -> NoReturn:
        failures = 0
        try:
            while True:
                begun = self._manners.clock()
                ending = await self._connection()
                self._report(ConnectionState.DISCONNECTED, ending.reason)
                CONNECTIONS.labels(self._label, ending.cause).inc()
                if self._manners.clock() - begun >= self._manners.stable:
                    failures = 0
                wait = self._wait(ending, failures)
                failures += 1
                self._say(ending, wait)
                await self._manners.sleep(wait)
        finally:
            self._report(ConnectionState.DISCONNECTED, "the publisher stops")

    def _wait(self, ending: Ending, failures: int) -> float:
        policy = self._manners.slow if ending.cause == "not_authorised" else self._manners.backoff
        wait = policy.delay(failures, self._manners.random)
        return max(wait, min(ending.retry_after or 0.0, LONGEST_WISH))

    def _say(self, ending: Ending, wait: float) -> None:
        if ending.cause == "not_authorised":
            self._log.error(
                "stream_not_authorised",
                reason=ending.reason,
                remedy="check the stream's credential in streams.toml and at the provider",
                next_attempt_seconds=round(wait, 1),
            )
        elif ending.cause == "frame_too_big":
            self._log.error(
                "stream_frame_too_big",
                reason=ending.reason,
                remedy="ask the provider what it sends; while it sends this frame again after each "
                "connect, what follows it is not read",
                next_attempt_seconds=round(wait, 1),
            )
        else:
            self._log.warning(
                "stream_disconnected", reason=ending.reason, next_attempt_seconds=round(wait, 1)
            )

    async def _connection(self) -> Ending:
        """Run one connection to its end and tell why it ended."""
        try:
            async with connect(
                self._provider.url,
                additional_headers=dict(self._provider.headers),
                max_size=MAX_FRAME_BYTES,
                max_queue=_WAITING_FRAMES,
                open_timeout=_OPEN_SECONDS,
                close_timeout=_CLOSE_SECONDS,
                ping_interval=None,  # the watchdog pings
            ) as socket:
                self._report(ConnectionState.CONNECTED)
                return await self._watched(socket)
        except InvalidStatus as error:
            return _refused(error)
        except TimeoutError:
            return Ending("unreachable", f"no handshake within {_OPEN_SECONDS:g} s")
        except (OSError, WebSocketException) as error:
            return Ending("unreachable", _harmless(error))

    async def _watched(self, socket: ClientConnection) -> Ending:
        watchdog = Watchdog(self._manners.patience, self._manners.clock())
        guard = asyncio.create_task(self._guard(socket, watchdog))
        try:
            await socket.send(self._provider.subscription())
            await self._read(socket, watchdog)
        except ConnectionClosed as error:
            if guard.done() and (why := guard.result()):
                return Ending("silent", why)
            if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
                return Ending("frame_too_big", _FRAME_TOO_BIG)
            return Ending("closed", _harmless(error))
        finally:
            guard.cancel()
            await asyncio.wait([guard])

    async def _guard(self, socket: ClientConnection, watchdog: Watchdog) -> str:
        """Ping when due; having cut a dead connection off, return why."""
        now = self._manners.clock
        while True:
            act, wait, why = watchdog.judge(now())
            if watchdog.subscribed:
                self._silence.lasts(watchdog.silent_for(now()))
            if act is Act.GIVE_UP:
                socket.transport.abort()  # a closing handshake would wait for the silent peer
                return why
            if act is Act.PING:
                watchdog.ping_sent(now())
                try:
                    pong = asyncio.ensure_future(await socket.ping())
                except ConnectionClosed:
                    return ""  # the reader tells why
                pong.add_done_callback(lambda _: watchdog.pong_came(now()))
            else:
                await self._manners.sleep(wait)

    async def _read(self, socket: ClientConnection, watchdog: Watchdog) -> NoReturn:
        """Read until the connection ends (raises ConnectionClosed)."""
        clock, wall = self._manners.clock, self._manners.wall
        while True:
            data = await socket.recv(decode=False)
            watchdog.frame_came(clock())
            self._frames.inc()
            frame = self._provider.inspect(data)
            if frame.echo:
                self._echoed(data, watchdog)
                continue
            lane = self._timed if frame.timestamped else self._untimed
            received = wall()
            self._silence.broken(received)
            self._take_in(Record(lane, received, frame.subject, data))
            if self._intake.full:
                await self._pause(watchdog)

    async def _pause(self, watchdog: Watchdog) -> None:
        """Wait for room. What the peer sends goes unread meanwhile, which is not its fault."""
        while self._intake.full:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._manners.patience.answer_within / 4):
                    await self._intake.room()
            watchdog.did_not_listen(self._manners.clock())

    def _echoed(self, data: bytes, watchdog: Watchdog) -> None:
        watchdog.subscribed = True
        missing = self._provider.missing(data)
        if missing:
            self._log.warning("subscription_incomplete", missing=missing)
        self._report(ConnectionState.SUBSCRIBED, missing)

    def _report(self, state: ConnectionState, reason: str | None = None) -> None:
        """Journal a change of state; the same failure again and again is told once."""
        reason = _text(reason) if reason else None
        if (state, reason) == (self.state, self._reason):
            return
        if self.state is not None:
            STREAMS.labels(self._label, self.state).dec()
        STREAMS.labels(self._label, state).inc()
        self.state, self._reason = state, reason
        now = self._manners.wall()
        event = Connection(stream=self.name, state=state, at=instant(now), reason=reason)
        data = event.model_dump_json().encode()
        self._intake.put(Record(self._events, now, None, data))
        self._log.info("stream_state", state=state, **({"reason": reason} if reason else {}))


def _refused(error: InvalidStatus) -> Ending:
    status = error.response.status_code
    if status in _NOT_AUTHORISED:
        return Ending("not_authorised", f"the provider refused the credential: HTTP {status}")
    wish = parse_retry_after(error.response.headers.get("Retry-After"), datetime.now(UTC))
    return Ending("refused", f"the provider refused the handshake: HTTP {status}", wish)


def _harmless(error: Exception) -> str:
    return redact_text(str(error) or type(error).__name__)


def _text(reason: str) -> str:
    """Make `reason` fit for a Text field."""
    return _CONTROL.sub(" ", reason)[:_LONGEST_REASON]
