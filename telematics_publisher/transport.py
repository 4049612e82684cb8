"""What a transport is: it publishes, and says by which routes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Refusal:
    """The envelope at `index` of a batch was refused for itself, for a snake_case `reason`."""

    index: int
    reason: str
    detail: str = ""


class Transport(Protocol):
    """A way to core. `name` is its short name in metrics and logs: `http`, `kafka`, ….

    `copies` are ways by which a copy of everything goes, as they are now: nobody waits for those.
    """

    name: str
    copies: Sequence[Route]

    async def routes(self) -> Sequence[Route]:
        """Return every way that a checkpoint takes which is published now.

        They cover all that was published before. Raises a TransportError, as `publish` does.
        """
        ...

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Return once every envelope of `batch`, the refused ones excepted, is durable over there.

        Anything else raises a TransportError: see telematics_publisher.errors for which of them
        are retried. One attempt within a deadline of its own; retrying is the caller's.
        """
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...
