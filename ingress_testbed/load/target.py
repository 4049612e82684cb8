"""Where a load goes: one attempt to send a batch, and what can become of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import click

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope


class AttemptFailed(Exception):
    """An attempt that may succeed when it is made again.

    `cause` is a short stable word; `retry_after` is how many seconds the other side asks for.
    """

    def __init__(self, cause: str, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.cause = cause
        self.retry_after = retry_after


class Hopeless(click.ClickException):
    """It will never succeed like this. The text says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the other side said of a batch that it has taken.

    `outcomes` counts what core did with it, where the answer tells; `refused` are the indices of
    the envelopes that were not taken, `reason` is that of the first.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    refused: Sequence[int] = ()
    reason: str = ""


class Target(Protocol):
    """A way to core."""

    name: str

    async def check(self) -> None:
        """Return if a load can be sent there at all. Raises Hopeless."""
        ...

    async def routes(self) -> Sequence[Route]:
        """Return every way that a checkpoint takes. Raises AttemptFailed and Hopeless."""
        ...

    async def send(self, batch: Sequence[Envelope]) -> Answered:
        """Return once the batch is durable over there. Raises AttemptFailed and Hopeless.

        One attempt, within a deadline of its own.
        """
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...
