"""Sending what a journal holds without a publisher: its machine is retired, or it was lost and found."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from telematics_publisher.delivery import Delivery
from telematics_publisher.errors import NotAuthorised
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.limits import Limits
from telematics_publisher.records import Envelopes
from telematics_publisher.sender import Sender
from telematics_publisher.transport import Transport

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of it: numbers that core now has, those left, and why there are any."""

    settled: int
    left: int
    reason: str | None


async def drain(
    path: Path,
    owner: tuple[str, str],
    transport: Transport,
    *,
    seconds: float | None,
    progress: Callable[[int], object],
) -> Drained:
    """Send the journal of `owner` (workspace, publisher) within `seconds`; None: however long.

    Once it is empty its epochs are closed, and core is told so. `progress` gets the number of
    pending numbers again and again. Raises JournalError.
    """
    workspace, publisher = owner
    journal = await Journal.open(
        path, workspace=workspace, publisher=publisher, limits=Limits(float("inf"))
    )
    begun = journal.pending
    sender = Sender(
        Delivery(journal, transport, workspace=workspace), Envelopes(workspace, publisher)
    )
    watching = asyncio.create_task(_watch(journal, progress))
    try:
        async with asyncio.timeout(seconds):
            reason = await _send(journal, sender)
    except TimeoutError:
        reason = f"core did not take everything within {seconds:g} s"
    finally:
        watching.cancel()
        left = journal.pending
        progress(left)
        await journal.close()
    return Drained(max(0, begun - left), left, reason)


async def _send(journal: Journal, sender: Sender) -> str | None:
    """Send everything, then a last checkpoint; return why something is left, if so."""
    sender.drain(float("inf"))
    await sender.run()
    if sender.stopped is not None:
        return sender.stopped
    if journal.pending:
        return "core refuses reports on records that it refused; the log names them"
    await journal.seal()
    try:
        heard = await sender.checkpoint()
    except NotAuthorised as error:  # the key ended just now
        return str(error)
    return None if heard else "core refuses to hear that it is over; the log says why"


async def _watch(journal: Journal, progress: Callable[[int], object]) -> None:
    while True:
        progress(journal.pending)
        await asyncio.sleep(_LOOK_SECONDS)
