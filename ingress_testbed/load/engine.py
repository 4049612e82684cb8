"""One step of a load: a schedule, a bounded queue, and a few senders that empty it."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ingress_contracts.envelope import Envelope
from ingress_runtime.backoff import Backoff
from ingress_testbed.load.histogram import Histogram
from ingress_testbed.load.schedule import Due
from ingress_testbed.load.target import Answered, AttemptFailed, Target

Clock: TypeAlias = Callable[[], float]
Make: TypeAlias = Callable[[Due, int], Envelope]
"""Makes the envelope of a report, under a sequence number."""

_BACKOFF = Backoff(base=0.1, ceiling=2.0)
_TICK = 0.002  # seconds: waking up for each message would take more time than sending it
_TURN = 100  # messages that may fall due before the senders get a turn


@dataclass(frozen=True, slots=True)
class Pace:
    """How a load is sent: `senders` at once, each a batch of at most `batch` messages.

    At most `queue` messages wait. What is not acknowledged `patience` seconds after the schedule's
    end is given up.
    """

    batch: int = 500
    senders: int = 4
    queue: int = 100_000
    patience: float = 30.0


@dataclass(slots=True)
class Tally:
    """What became of a step, in messages and in seconds.

    Of `due` messages, `not_sent` found the queue full or the end come; the others were `numbered`
    from 0. Of those, `acknowledged` are safe on the other side; `given_up` numbers got no answer in
    time, or were refused. `corrected` latency counts from when a message was due, `uncorrected` from
    when the attempt began that succeeded. `lateness` is how late the generator itself noticed that
    a message was due. The schedule ended after `scheduled_seconds`: with the last message, or
    `cut_short`. `errors` counts attempts by cause; `examples` has what was said.
    """

    due: int = 0
    not_sent: int = 0
    numbered: int = 0
    acknowledged: int = 0
    given_up: list[int] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    corrected: Histogram = field(default_factory=Histogram)
    uncorrected: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    scheduled_seconds: float = 0.0
    cut_short: bool = False
    last_acknowledged: float = 0.0
    waiting: int = 0

    def fail(self, cause: str, text: str) -> None:
        """Count an attempt that failed."""
        self.errors[cause] += 1
        self.examples.setdefault(cause, text)


class Step:
    """Sends one schedule. `clock` must be that by which asyncio sleeps."""

    def __init__(
        self, schedule: Iterable[Due], target: Target, make: Make, pace: Pace, clock: Clock
    ) -> None:
        self.tally = Tally()
        self._schedule = schedule
        self._target = target
        self._make = make
        self._pace = pace
        self._clock = clock
        self._queue: deque[Due] = deque()
        self._filled = asyncio.Event()
        self._ended = False
        self._start = 0.0
        self._dice = random.Random("backoff").random

    async def run(self, stop: asyncio.Event) -> Tally:
        """Send until the schedule's end, or `stop`, and what then waits within the patience.

        Raises Hopeless.
        """
        self._start = self._clock()
        senders = [asyncio.create_task(self._send()) for _ in range(self._pace.senders)]
        falling = asyncio.create_task(self._fall_due(stop))
        everybody = [falling, *senders]
        try:
            await asyncio.wait(everybody, return_when=asyncio.FIRST_COMPLETED)
            if falling.done():
                await asyncio.wait(
                    senders, timeout=self._pace.patience, return_when=asyncio.FIRST_EXCEPTION
                )
        finally:
            for task in everybody:
                task.cancel()
            await asyncio.wait(everybody)
        for task in everybody:
            if not task.cancelled():
                task.result()
        self._give_up_queue()
        return self.tally

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._start

    async def _fall_due(self, stop: asyncio.Event) -> None:
        """Put each message into the queue when its time has come; no answer delays that."""
        stopping = asyncio.ensure_future(stop.wait())
        turn = 0
        try:
            for due in self._schedule:
                ahead = due.at - self._elapsed
                if ahead > 0:
                    turn = 0
                    await asyncio.wait([stopping], timeout=max(ahead, _TICK))
                else:
                    turn += 1
                    if turn % _TURN == 0:
                        await asyncio.sleep(0)
                if stop.is_set():
                    return
                self._take_in(due)
        finally:
            stopping.cancel()
            self.tally.scheduled_seconds = self._elapsed
            self._ended = True
            self.tally.cut_short = stop.is_set()
            if stop.is_set():  # whoever is in a hurry waits for what is on its way, and no longer
                self._give_up_queue()
            self._filled.set()

    def _give_up_queue(self) -> None:
        self.tally.not_sent += len(self._queue)
        self.tally.waiting = 0
        self._queue.clear()

    def _take_in(self, due: Due) -> None:
        self.tally.due += 1
        self.tally.lateness.record(self._elapsed - due.at)
        if len(self._queue) >= self._pace.queue:
            self.tally.not_sent += 1
            return
        self._queue.append(due)
        self.tally.waiting = len(self._queue)
        self._filled.set()

    async def _send(self) -> None:
        """Take what waits, a batch at a time, and send it until it is acknowledged."""
        while True:
            while not self._queue:
                if self._ended:
                    return
                self._filled.clear()
                await self._filled.wait()
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), self._pace.batch))]
            self.tally.waiting = len(self._queue)
            first = self.tally.numbered
            self.tally.numbered += len(taken)
            batch = [self._make(due, first + at) for at, due in enumerate(taken)]
            try:
                begun, answer = await self._delivered(batch)
            except BaseException:
                self.tally.given_up += range(first, first + len(taken))
                raise
            self._settle(taken, first, begun, answer)

    async def _delivered(self, batch: Sequence[Envelope]) -> tuple[float, Answered]:
        """Return when the attempt began that succeeded, and what was answered."""
        attempt = 0
        while True:
            begun = self._elapsed
            try:
                return begun, await self._target.send(batch)
            except AttemptFailed as error:
                self.tally.fail(error.cause, str(error))
                pause = error.retry_after
                if pause is None:
                    pause = _BACKOFF.delay(attempt, self._dice)
                attempt += 1
            await asyncio.sleep(pause)

    def _settle(self, taken: Sequence[Due], first: int, begun: float, answer: Answered) -> None:
        tally, now = self.tally, self._elapsed
        refused = set(answer.refused)
        for at, due in enumerate(taken):
            if at in refused:
                tally.given_up.append(first + at)
                tally.fail("refused", answer.reason)
            else:
                tally.corrected.record(now - due.at)
        taken_over = len(taken) - len(refused)
        tally.uncorrected.record(now - begun, taken_over)
        tally.acknowledged += taken_over
        tally.outcomes.update(answer.outcomes)
        tally.last_acknowledged = now
