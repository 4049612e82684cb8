"""One workspace at the edge: its streams, its journal, its sender, and how they end together."""

import asyncio
import time
from collections.abc import Sequence

import structlog

from telematics_publisher import traces
from telematics_publisher.intake import Intake
from telematics_publisher.journal.journal import Journal
from telematics_publisher.sender import Sender
from telematics_publisher.stream import Stream

_LAST_WORDS = 0.2
"""The part of the grace period that is kept for answers in flight and the last checkpoint."""

_LAST_COMMIT_SECONDS = 2.0
"""What is in memory gets at least so long to reach the disk, however short the grace period."""

log = structlog.get_logger()


class WorkspacePublisher:
    """Runs the streams of one workspace into its journal and sends the journal on."""

    def __init__(
        self,
        *,
        journal: Journal,
        intake: Intake,
        streams: Sequence[Stream],
        sender: Sender,
        grace_seconds: float,
    ) -> None:
        self.streams = streams
        self.sender = sender
        self.journal = journal
        self._intake = intake
        self._grace = grace_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; then stop reading, drain within the grace period, keep the rest.

        Raises JournalBroken (within an ExceptionGroup) where the journal cannot be written.
        """
        async with asyncio.TaskGroup() as tasks:
            committing = tasks.create_task(self._commit())
            sending = tasks.create_task(self.sender.run())
            reading = [tasks.create_task(stream.run()) for stream in self.streams]
            await stop.wait()
            for task in reading:
                task.cancel()
            if reading:
                await asyncio.wait(reading)
            self._intake.close()
            self.journal.lift_limit()  # what was read is little, and is not thrown away
            begun = time.monotonic()
            await self._finish(committing)
            await self._drain(sending, max(0.0, self._grace - (time.monotonic() - begun)))

    async def _commit(self) -> None:
        """Journal what the streams have read, in groups."""
        while records := await self._intake.take():
            await self.journal.append(records)
            traces.journalled(records)

    async def _finish(self, committing: "asyncio.Task[None]") -> None:
        """Let the last group be journalled; a disk that stays full cannot keep the process."""
        await asyncio.wait([committing], timeout=max(self._grace, _LAST_COMMIT_SECONDS))
        if not committing.done():
            committing.cancel()
            log.error(
                "frames_not_journalled",
                workspace=self.sender.workspace,
                reason="the journal's disk is full, and the publisher was asked to stop",
                consequence="what was read last from the streams is a gap",
            )

    async def _drain(self, sending: "asyncio.Task[None]", seconds: float) -> None:
        self.sender.drain(seconds * (1 - _LAST_WORDS))
        await asyncio.wait([sending], timeout=seconds)
        if not sending.done():
            sending.cancel()
        _say_end(self.sender.workspace, self.journal.pending)


def _say_end(workspace: str, left: int) -> None:
    said = log.bind(workspace=workspace, left_in_journal=left)
    if left:
        said.warning(
            "publisher_not_drained",
            consequence="core does not have these records yet; they stay in the journal",
            remedy="start the publisher again, or send them with `ingress journal drain`",
        )
    else:
        said.info("publisher_drained")
