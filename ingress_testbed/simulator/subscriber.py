"""An API key's view of the recording: its cursors, and the tasks that feed its sockets."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from ingress_testbed.recordings import Recording, RecordingError
from ingress_testbed.simulator import oddities
from ingress_testbed.simulator.clock import Clock
from ingress_testbed.simulator.cursor import Cursor, Cursors
from ingress_testbed.simulator.habits import Habit, Habits, source_name
from ingress_testbed.simulator.line import Line
from ingress_testbed.simulator.load import Load, Packer, PlainPacker
from ingress_testbed.simulator.mischief import BadPacker
from ingress_testbed.simulator.protocol import Resend, Subscription, whole
from ingress_testbed.simulator.sent import SentTo, sent
from ingress_testbed.simulator.timeline import Timeline

_GREETING_EVERY_SECONDS = 0.05

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Feed:
    """What all subscribers share. `recording` is asked for when data begin, and starts `timeline`."""

    recording: Callable[[], Recording]
    timeline: Timeline
    clock: Clock
    auth_delay: float
    habits: Habits
    sent_to: SentTo | None


@dataclass(slots=True)
class Subscriber:
    """All that is known of an API key; `name` stands for it wherever people can look."""

    name: str
    feed: Feed
    sent: int = 0
    messages: int = 0
    injected: Counter[Habit] = field(default_factory=Counter)
    lines: set[Line] = field(default_factory=set)
    revoked: bool = False
    _subscriptions: int = 0
    _silent: list[Line] = field(default_factory=list)
    _cursors: dict[frozenset[str], Cursors] = field(default_factory=dict)

    def status(self) -> dict[str, Any]:
        """Return what `GET /status` tells about the key.

        `sent` are frames of the recording that went out or were dropped, `messages` what was
        written to sockets for them and beside them, `injected` how often each habit was given in
        to: sums over all connections, of which `connections` are open. What two of them get
        counts twice.
        """
        finished = bool(self._cursors) and all(one.finished for one in self._cursors.values())
        return {
            "sent": self.sent,
            "connected": bool(self.lines),
            "connections": len(self.lines),
            "finished": finished,
            "messages": self.messages,
            "injected": {str(habit): times for habit, times in sorted(self.injected.items())},
            "revoked": self.revoked,
        }

    async def feed_to(self, line: Line, subscription: Subscription, resend: Resend) -> None:
        """Send what is due from the key's place in the subscription's vehicles on.

        Other connections with the same vehicles go on getting theirs. Ends when it is cancelled,
        or when the recording or the connection ends.
        """
        await self.feed.clock.sleep(self.feed.auth_delay)
        self.cut_silent_lines()
        try:
            if await self._greeted(line, subscription):
                await self._feed(line, subscription, resend)
        except ConnectionClosed:
            pass
        except RecordingError as error:  # it was readable when the simulator started
            log.exception("recording_unreadable")
            await line.close(CloseCode.INTERNAL_ERROR, error.message[:100])

    async def revoke(self) -> None:
        """Refuse the key from now on, and close its sockets."""
        self.revoked = True
        log.info("key_revoked", key=self.name)
        reason = "this API key was revoked"
        await asyncio.gather(
            *(line.close(CloseCode.POLICY_VIOLATION, reason) for line in list(self.lines))
        )

    def cut_silent_lines(self) -> None:
        """Let go of the connections that fell silent."""
        for line in self._silent:
            line.cut()
        self._silent.clear()

    def close(self) -> None:
        """Close the files of all cursors."""
        for cursors in self._cursors.values():
            cursors.close()

    async def _feed(self, line: Line, subscription: Subscription, resend: Resend) -> None:
        vehicles = frozenset(subscription)
        cursors = self._cursors.setdefault(vehicles, Cursors(self.feed.recording))
        cursor = cursors.take()
        try:
            cursor.rewind(resend, subscription)
            await self._send(line, cursor, subscription)
        finally:
            cursors.give_back(cursor)

    async def _greeted(self, line: Line, subscription: Subscription) -> bool:
        """Give in to the habits of a beginning; return whether data may follow."""
        self._subscriptions += 1
        habits, _ = self.feed.habits.on(self._subscriptions, self.name, greeting=True)
        self.injected.update(habits[:1])
        if Habit.NO_DATA in habits:
            return False
        greeting = oddities.acl(next(iter(subscription), ""))
        load = Load(whole(greeting), 0, 1, [sent(self.name, (Habit.ENDLESS_GREETING,), greeting)])
        while Habit.ENDLESS_GREETING in habits:
            await line.write(load.data, lambda: self._went_out(load))
            await self.feed.clock.sleep(_GREETING_EVERY_SECONDS)
        return True

    async def _send(self, line: Line, cursor: Cursor, subscription: Subscription) -> None:
        timeline = self.feed.timeline
        packer = self._packer(cursor, subscription)
        for frame in cursor.take(subscription):
            wait = timeline.seconds_until(frame.time)
            if wait > 0 or packer.full:
                if packer.full or not packer.holding:
                    load = packer.seal()
                    await self._write(line, cursor, load)
                    if load.ending is not None:
                        return
                await self.feed.clock.sleep(min(wait, timeline.left()))
            if not packer.frames and timeline.left() <= 0:
                cursor.end()
                return
            packer.add(frame)
        await self._write(line, cursor, packer.seal())

    def _packer(self, cursor: Cursor, subscription: Subscription) -> Packer:
        if not self.feed.habits.occasions and self.feed.sent_to is None:
            return PlainPacker()
        source = source_name(self.name, subscription)
        return BadPacker(self.feed.habits, self.name, source, cursor.total)

    async def _write(self, line: Line, cursor: Cursor, load: Load) -> None:
        def written() -> None:
            cursor.written(load.frames)
            self._went_out(load)

        await line.write(load.data, written)
        await asyncio.sleep(0)  # a reader that keeps up would never let anybody else run
        if load.settle or load.ending is not None:
            await line.heard()
        if load.ending is not None:
            await self._end(line, load.ending)

    def _went_out(self, load: Load) -> None:
        self.sent += load.frames
        self.messages += load.messages
        self.injected.update(load.injected)
        if self.feed.sent_to is not None:
            self.feed.sent_to(load.sent)

    async def _end(self, line: Line, ending: Habit) -> None:
        if ending is Habit.HALF_OPEN:
            line.fall_silent()
            self._silent.append(line)
        elif ending is Habit.DISCONNECT:
            line.cut()
        else:
            await self.revoke()


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel `task`, where there is one, and wait until it has ended."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
