"""A loop whose time passes only while nobody has anything to do; a target that does as it is told."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from ingress_contracts.control import Checkpoint, Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CHECKPOINT
from ingress_testbed.load.schedule import Due
from ingress_testbed.load.target import Answered

T = TypeVar("T")


class TimelessLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__()

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a loop of its own, in no time."""
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        return runner.run(work)


class FakeTarget:
    """Takes every batch after `work`, which may wait or raise; remembers the numbers in it."""

    name = "fake"

    def __init__(self, work: Callable[[], Awaitable[None]], refused: Sequence[int] = ()) -> None:
        self._work = work
        self._refused = set(refused)
        self.attempts = 0
        self.taken: list[list[int]] = []
        self.checkpoints: list[Checkpoint] = []

    async def check(self) -> None:
        """Do nothing."""

    async def routes(self) -> Sequence[Route]:
        return (Route(door="http"),)

    async def send(self, batch: Sequence[Envelope]) -> Answered:
        self.attempts += 1
        await self._work()
        if batch[0].type == CHECKPOINT:
            self.checkpoints.append(Checkpoint.model_validate_json(batch[0].data))
            return Answered(Counter(control=1))
        numbers = [one.sequence for one in batch if one.sequence is not None]
        self.taken.append(numbers)
        refused = [at for at, number in enumerate(numbers) if number in self._refused]
        outcomes = Counter(accepted=len(batch) - len(refused), refused=len(refused))
        return Answered(+outcomes, refused, "malformed" if refused else "")

    async def aclose(self) -> None:
        """Do nothing."""


def envelope(due: Due, sequence: int) -> Envelope:
    """Return an envelope that has nothing to say but its number."""
    return Envelope(
        id=f"{due.vehicle}-{due.number}",
        source="/test",
        type="telematics.provider.message.v1",
        workspaceid="acme",
        receivedtime=datetime(2026, 1, 1, tzinfo=UTC),
        publisherid="load",
        publisherepoch=UUID(int=1),
        sequence=sequence,
    )
