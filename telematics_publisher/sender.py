"""The sender: reads the journal in order, keeps a few batches in flight, and sends checkpoints."""

import asyncio
import time
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Gauge, Histogram

from ingress_contracts.control import Checkpoint
from ingress_runtime import histograms
from telematics_publisher.clock import Microseconds, Seconds, wall_clock
from telematics_publisher.delivery import Delivery
from telematics_publisher.errors import STOPPING, BatchRefused, EverythingRefused, NotAuthorised
from telematics_publisher.records import Envelopes, Stored

STOPPED = Gauge(
    "publisher_senders_stopped",
    "Senders that stopped for good, by cause; their frames pile up in the journal.",
    ["cause"],
)
for _cause in STOPPING:
    STOPPED.labels(_cause)
CHECKPOINTS = Counter(
    "publisher_checkpoints_acknowledged_total", "Checkpoints that core has.", ["transport"]
)
DELIVERY_SECONDS = Histogram(
    "publisher_delivery_seconds",
    "From a record's receipt to core's answer; one observation a batch, its oldest record's.",
    ["transport"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600, 86_400),
)
WAIT_SECONDS = histograms.Histogram(
    "publisher_wait_seconds",
    "From a record's receipt to the first attempt of this process to send it; every record counts.",
    ["transport"],
    buckets=(
        *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 7.5),
        *(10, 15, 30, 60, 120, 300, 900, 3_600, 86_400),
    ),
)
IN_FLIGHT = Gauge(
    "publisher_batches_in_flight", "Batches that are sent and not settled yet, of all senders."
)
IN_FLIGHT_LIMIT = Gauge(
    "publisher_batches_in_flight_limit",
    "Most batches in flight, of all senders that work; beyond it, records wait in the journal.",
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How a sender makes batches: at most `records` and `bytes` each, `window` of them in flight.

    A checkpoint is due every `checkpoint_seconds`.
    """

    records: int = 500
    bytes: int = 2**20
    window: int = 3
    checkpoint_seconds: float = 5.0


class Sender:
    """Sends one journal over one transport, until told to drain.

    `stopped` is None while it works, and otherwise says why it does not.
    """

    def __init__(
        self,
        delivery: Delivery,
        envelopes: Envelopes,
        *,
        pace: Pace = Pace(),
        clock: Seconds = time.monotonic,
        wall: Microseconds = wall_clock,
    ) -> None:
        self.stopped: str | None = None
        self.workspace = envelopes.workspace
        self._journal = delivery.journal
        self._transport = delivery.transport
        self._delivery = delivery
        self._envelopes = envelopes
        self._pace = pace
        self._clock = clock
        self._wall = wall
        self._cursor = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        self._last_take = float("inf")
        self._pressure = delivery.pressure
        self._wait_seconds = WAIT_SECONDS.labels(self._transport.name)
        self._delivery_seconds = DELIVERY_SECONDS.labels(self._transport.name)
        self._checkpoints = CHECKPOINTS.labels(self._transport.name)
        self._log = log.bind(
            workspace=envelopes.workspace,
            publisher=envelopes.publisher,
            transport=self._transport.name,
        )

    def drain(self, seconds: float) -> None:
        """Let `run` end once the journal is empty, or stop taking from it after `seconds`.

        Either way a last checkpoint follows what is in flight then.
        """
        self._last_take = self._clock() + seconds
        self._draining.set()

    async def run(self) -> None:
        """Send until drained. A sender that core does not want stops and says so, loudly.

        Raises JournalBroken.
        """
        IN_FLIGHT_LIMIT.inc(self._pace.window)
        try:
            async with asyncio.TaskGroup() as deliveries:
                await self._send_all(deliveries)
        except* (NotAuthorised, EverythingRefused) as group:
            error = group.exceptions[0]
            cause = error.cause if isinstance(error, NotAuthorised | EverythingRefused) else "error"
            self._stop(cause, error)
        finally:
            IN_FLIGHT_LIMIT.dec(self._pace.window)
        if self.stopped is not None:
            with self._pressure.waiting(cause):
                await self._draining.wait()

    async def checkpoint(self) -> bool:
        """Send a checkpoint; return whether core took it.

        Everything sent before it must have been answered.
        """
        routes = await self._delivery.routes()
        number, epochs = await self._journal.checkpoint()
        checkpoint = Checkpoint(
            number=number,
            epochs=epochs,
            routes=tuple(routes),
            copies=tuple(self._transport.copies),
        )
        envelope = self._envelopes.of_checkpoint(checkpoint, self._wall())
        try:
            refusals = await self._delivery.send([envelope])
        except BatchRefused as error:
            self._log.error("checkpoint_refused", number=number, error=str(error))
            return False
        if refusals:
            self._log.error("checkpoint_refused", number=number, error=refusals[0].reason)
            return False
        self._checkpoints.inc()
        await self._journal.confirm(epochs)
        return True

    async def _send_all(self, deliveries: asyncio.TaskGroup) -> None:
        due = self._clock() + self._pace.checkpoint_seconds
        while self._clock() < self._last_take:
            if self._clock() >= due:
                await self._barrier()
                due = self._clock() + self._pace.checkpoint_seconds
            if await self._send_next(deliveries):
                continue
            if self._draining.is_set():
                break
            await self._rest(due - self._clock())
        await self._barrier()

    async def _send_next(self, deliveries: asyncio.TaskGroup) -> bool:
        """Put the next batch in flight, once the window has room; False if there is none."""
        if len(self._in_flight) >= self._pace.window:
            with self._pressure.waiting("full"):
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        head = self._journal.head
        taken = await self._journal.take(self._cursor, self._pace.records, self._pace.bytes)
        if not taken:
            self._cursor = max(self._cursor, head)
            return False
        self._cursor = taken[-1].sequence
        task = deliveries.create_task(self._deliver(taken))
        self._in_flight.add(task)
        IN_FLIGHT.inc()
        task.add_done_callback(self._landed)
        return True

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        IN_FLIGHT.dec()

    async def _deliver(self, taken: list[Stored]) -> None:
        batch = [self._envelopes.of(one) for one in taken]
        received = sorted([one.record.received for one in taken])
        self._wait_seconds.observe_since(received, self._wall())
        await self._delivery.deliver(batch)
        delay = (self._wall() - taken[0].record.received) / 1e6
        self._delivery_seconds.observe(max(0.0, delay))
        self._log.debug(
            "batch_delivered",
            records=len(taken),
            first=taken[0].sequence,
            last=taken[-1].sequence,
            seconds=round(delay, 3),
        )

    async def _barrier(self) -> None:
        """Wait for the answers to everything in flight, then send a checkpoint."""
        with self._pressure.waiting("checkpoint"):
            if self._in_flight:
                await asyncio.wait(self._in_flight)
            await self.checkpoint()

    async def _rest(self, seconds: float) -> None:
        """Return when there is something to send, when draining begins, or after `seconds`."""
        waits = [
            asyncio.ensure_future(self._journal.wait_beyond(self._cursor)),
            asyncio.ensure_future(self._draining.wait()),
        ]
        try:
            done, _ = await asyncio.wait(
                waits, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
        for one in done:
            one.result()

    def _stop(self, cause: str, error: BaseException) -> None:
        self.stopped = str(error)
        STOPPED.labels(cause).inc()
        self._log.error(
            "sender_stopped",
            cause=cause,
            error=str(error),
            consequence="frames are journalled but not sent",
            remedy="correct what the error speaks of (the workspace's API key, publisher id, "
            "INGRESS_API_URL; Kafka's user and ACLs), then restart",
        )
