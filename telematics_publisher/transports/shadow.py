"""HTTP is the truth, and Kafka gets a copy: what one runs before switching over.

Nothing waits for a copy, and none is sent again: one that fails is missing over there, and core's
shadow report shows it. A checkpoint's copy goes behind all copies before it, so that core knows what
should have come by then.
"""

import asyncio
from collections.abc import Coroutine, Sequence

import structlog
from prometheus_client import Counter, Gauge

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CHECKPOINT
from telematics_publisher.errors import TransportError
from telematics_publisher.transport import Refusal, Transport

COPIES = Counter(
    "publisher_shadow_records_total",
    "Records copied to Kafka under shadow: ok, failed, or skipped as too many copies were under way.",
    ["result"],
)
for _result in ("ok", "failed", "skipped"):
    COPIES.labels(_result)
UNDER_WAY = Gauge(
    "publisher_shadow_batches_under_way", "Batches whose copy Kafka has not confirmed yet."
)

MOST_COPIES = 16
"""Batches of a workspace whose copies may be under way; beyond them a copy is skipped."""

log = structlog.get_logger()


class Shadow:
    """Publishes by `truth`, HTTP, and a copy of everything by `mirror`, Kafka.

    `patience` is how long (s) the last copies are waited for at the end.
    """

    name = "shadow"

    def __init__(
        self, truth: Transport, mirror: Transport, *, patience: float, workspace: str
    ) -> None:
        self.copies: Sequence[Route] = ()
        self._truth = truth
        self._mirror = mirror
        self._patience = patience
        self._under_way: dict[asyncio.Task[None], None] = {}
        self._attempted: set[tuple[object, ...]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._failing = False
        self._log = log.bind(workspace=workspace)

    async def routes(self) -> Sequence[Route]:
        """Return the truth's routes. `copies` are found out meanwhile, for the next time."""
        if self._looking is None or self._looking.done():
            self._looking = self._start(self._look())
        return await self._truth.routes()

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Publish `batch`, and let its copy go with the first attempt. See Transport.publish."""
        mark = (batch[0].id, batch[0].publisherepoch, batch[0].sequence)
        if mark not in self._attempted:
            self._attempted.add(mark)
            self._copy(batch)
        refusals = await self._truth.publish(batch)
        self._attempted.discard(mark)
        return refusals

    async def aclose(self) -> None:
        """Wait for the last copies, then close both ways."""
        tasks = {*self._under_way, *([self._looking] if self._looking else [])}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._mirror.aclose()
        await self._truth.aclose()

    def _copy(self, batch: Sequence[Envelope]) -> None:
        before = list(self._under_way)
        if batch[0].type == CHECKPOINT:
            self._add(self._send_behind(before, batch))
        elif len(before) >= MOST_COPIES:
            self._told("skipped", batch, f"{MOST_COPIES} batches are under way")
        else:
            self._add(self._send(batch))

    def _add(self, work: Coroutine[object, object, None]) -> None:
        task = self._start(work)
        self._under_way[task] = None
        UNDER_WAY.inc()
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        UNDER_WAY.dec()

    async def _send_behind(
        self, before: Sequence["asyncio.Task[None]"], batch: Sequence[Envelope]
    ) -> None:
        if before:
            await asyncio.wait(before)
        await self._send(batch)

    async def _send(self, batch: Sequence[Envelope]) -> None:
        try:
            await self._mirror.publish(batch)
        except TransportError as error:
            self._told("failed", batch, str(error))
        else:
            self._told("ok", batch)

    async def _look(self) -> None:
        try:
            self.copies = await self._mirror.routes()
        except TransportError as error:
            self._log.debug("shadow_not_seen", error=str(error))

    def _told(self, result: str, batch: Sequence[Envelope], why: str = "") -> None:
        """Count a copy; say when copies begin to fail, and when they are well again."""
        if batch[0].type != CHECKPOINT:
            COPIES.labels(result).inc(len(batch))
        failing = result != "ok"
        if failing and not self._failing:
            self._log.warning(
                "copies_missing",
                reason=why,
                consequence="HTTP has everything; Kafka lacks what the shadow report will name",
                remedy="`ingress topics check` says more of the brokers",
            )
        elif self._failing and not failing:
            self._log.info("copies_complete_again")
        self._failing = failing

    @staticmethod
    def _start(work: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work)
