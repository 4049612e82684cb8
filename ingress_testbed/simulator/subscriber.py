"""An API key's view of the recording: its cursors, and the task that feeds its socket."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from ingress_testbed.recordings import Recording, RecordingError
from ingress_testbed.simulator.clock import Clock
from ingress_testbed.simulator.cursor import Cursor
from ingress_testbed.simulator.protocol import Resend, Subscription, wire
from ingress_testbed.simulator.timeline import Timeline

_BATCH = 256

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Feed:
    """What all subscribers share. `recording` is asked for when somebody's data begin."""

    recording: Callable[[], Recording]
    timeline: Timeline
    clock: Clock
    auth_delay: float


@dataclass(slots=True)
class Subscriber:
    """All that is known of an API key; `name` stands for it wherever people can look."""

    name: str
    feed: Feed
    sent: int = 0
    connections: int = 0
    _cursors: dict[frozenset[str], Cursor] = field(default_factory=dict)
    _senders: dict[frozenset[str], asyncio.Task[None]] = field(default_factory=dict)

    def status(self) -> dict[str, Any]:
        """Return what `GET /status` tells about the key."""
        finished = bool(self._cursors) and all(one.finished for one in self._cursors.values())
        return {"sent": self.sent, "connected": self.connections > 0, "finished": finished}

    async def feed_to(
        self, connection: ServerConnection, subscription: Subscription, resend: Resend
    ) -> None:
        """Send what is due from the cursor of the subscription's vehicles, until it is cancelled.

        A second sender for the same vehicles takes the cursor over. Ends when the recording or the
        connection does.
        """
        await self.feed.clock.sleep(self.feed.auth_delay)
        vehicles = frozenset(subscription)
        before, current = self._senders.get(vehicles), asyncio.current_task()
        if current is not None:
            self._senders[vehicles] = current
        if before is not current:
            await end(before)
        try:
            cursor = self._cursor(vehicles)
            cursor.rewind(resend, subscription)
            await self._send(connection, cursor, subscription)
        except ConnectionClosed:
            pass
        except RecordingError as error:  # it was readable when the simulator started
            log.exception("recording_unreadable")
            await connection.close(CloseCode.INTERNAL_ERROR, error.message[:100])

    def close(self) -> None:
        """Close the files of all cursors."""
        for cursor in self._cursors.values():
            cursor.close()

    def _cursor(self, vehicles: frozenset[str]) -> Cursor:
        if vehicles not in self._cursors:
            self._cursors[vehicles] = Cursor(self.feed.recording())
        return self._cursors[vehicles]

    async def _send(
        self, connection: ServerConnection, cursor: Cursor, subscription: Subscription
    ) -> None:
        timeline = self.feed.timeline
        batch: list[bytes] = []
        for frame in cursor.take(subscription):
            wait = timeline.seconds_until(frame.time)
            if wait > 0 or len(batch) == _BATCH:
                await self._write(connection, cursor, batch)
                await self.feed.clock.sleep(min(wait, timeline.left()))
            if not batch and timeline.left() <= 0:
                cursor.end()
                return
            batch.append(wire(frame))
        await self._write(connection, cursor, batch)

    async def _write(
        self, connection: ServerConnection, cursor: Cursor, batch: list[bytes]
    ) -> None:
        """Write whole frames in one go, and wait while the socket's buffer is full.

        One `send` a frame costs a system call and a drain each: a tenth of this speed.
        """
        async with connection.send_context():
            connection.transport.write(b"".join(batch))
            cursor.written(len(batch))
            self.sent += len(batch)
            batch.clear()
        await asyncio.sleep(0)  # a reader that keeps up would never let anybody else run


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel `task`, where there is one, and wait until it has ended."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
