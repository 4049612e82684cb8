"""Settling a batch: sent until it arrived, split where it is refused, set aside where one is."""

import asyncio
import random as randomness
import time
from collections.abc import Sequence
from typing import Any

import structlog
from prometheus_client import Counter, Histogram

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import UNDELIVERABLE
from ingress_runtime import faults
from ingress_runtime.backoff import Backoff, Random
from telematics_publisher import traces
from telematics_publisher.clock import Microseconds, Seconds, wall_clock
from telematics_publisher.errors import (
    CAUSES,
    BatchRefused,
    ClockAhead,
    EverythingRefused,
    NotAuthorised,
    TransportError,
)
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.ranges import ranges_of
from telematics_publisher.outage import Outage
from telematics_publisher.pressure import WindowPressure
from telematics_publisher.retry import Sleep, retrying
from telematics_publisher.stamps import corrected
from telematics_publisher.standstill import Standstill
from telematics_publisher.transport import Refusal, Transport

ACKNOWLEDGED = Counter(
    "publisher_records_acknowledged_total", "Records that core has for good.", ["transport"]
)
UNDELIVERABLE_RECORDS = Counter(
    "publisher_records_undeliverable_total",
    "Records refused for themselves and set aside, by transport.",
    ["transport"],
)
ATTEMPTS = Counter(
    "publisher_send_attempts_total",
    "Attempts to send a batch, by what came of it: ok, or the error's cause.",
    ["transport", "result"],
)
SEND_SECONDS = Histogram(
    "publisher_send_seconds", "Duration of successful attempts to send a batch.", ["transport"]
)
BATCH_RECORDS = Histogram(
    "publisher_batch_records",
    "Records of batches that arrived.",
    ["transport"],
    buckets=(1, 5, 10, 50, 100, 250, 500, 1_000, 5_000),
)

REFUSED_IN_A_ROW = 100
"""Records refused for themselves, none accepted between them, until the fault must lie elsewhere."""

SEND_BACKOFF = Backoff(base=0.25, ceiling=15.0)

FOREIGN = frozenset({"foreign_publisher", "foreign_workspace"})
"""Reasons of a refusal that speak of the API key and not of the record."""

log = structlog.get_logger()


class Delivery:
    """Settles batches of one journal over one transport. Safe to run several at a time.

    `workspace` is whose journal it is, for the log.
    """

    def __init__(  # noqa: PLR0913 — time and chance are injected, each by its name
        self,
        journal: Journal,
        transport: Transport,
        *,
        workspace: str | None = None,
        backoff: Backoff = SEND_BACKOFF,
        random: Random = randomness.random,
        sleep: Sleep = asyncio.sleep,
        wall: Microseconds = wall_clock,
        clock: Seconds = time.monotonic,
    ) -> None:
        self.journal = journal
        self.transport = transport
        _begin_at_zero(transport.name)
        self._log = log.bind(transport=transport.name)
        if workspace is not None:
            self._log = self._log.bind(workspace=workspace)
        self._outage = Outage(self._log, lambda: self.journal.pending, clock)
        self._retrying = retrying(backoff, random, sleep, self._log)
        self._wall = wall
        self._standstill = Standstill(clock)
        self.pressure = WindowPressure(clock)
        self._refused_in_a_row = 0

    async def deliver(self, batch: Sequence[Envelope]) -> None:
        """Return once the journal has settled every record of `batch`, which rises by number.

        Raises NotAuthorised or EverythingRefused, which stop a sender, and JournalBroken.
        """
        try:
            refusals = await self.send(batch)
        except BatchRefused as error:
            if len(batch) == 1:
                await self._settle(batch, [Refusal(0, error.reason, str(error))])
                return
            self._log.warning("batch_split", records=len(batch), error=str(error))
            half = len(batch) // 2
            await self.deliver(batch[:half])
            await self.deliver(batch[half:])
        else:
            await self._settle(batch, refusals)

    async def routes(self) -> Sequence[Route]:
        """Return the transport's routes, asked for again and again while a retry may help."""
        routes: Sequence[Route] = await self._retrying.copy()(self._routes)
        return routes

    async def send(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Publish `batch`, again and again while a retry may help. Returns what was refused."""
        self._standstill.begun()
        try:
            refusals: Sequence[Refusal] = await self._retrying.copy()(self._attempt, batch)
        finally:
            self._standstill.ended()
        return refusals

    async def _routes(self) -> Sequence[Route]:
        try:
            return await self.transport.routes()
        except TransportError as error:
            self._failed(error)
            raise

    async def _attempt(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Publish `batch` once; once more where a clock that has been mended had stamped it."""
        try:
            return await self._publish(batch)
        except ClockAhead as error:
            mended = corrected(batch, error, self._wall())
            _say_ahead(self._log, error, len(batch), corrected=mended is not None)
            if mended is None:
                raise
        return await self._publish(mended)

    async def _publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        faults.passed(faults.Point.BATCH_TAKEN)
        name = self.transport.name
        begun = time.perf_counter()
        with traces.sending(name, batch):
            try:
                refusals = await self.transport.publish(batch)
            except TransportError as error:
                ATTEMPTS.labels(name, error.cause).inc()
                self._failed(error)
                raise
        faults.passed(faults.Point.BATCH_ANSWERED)
        ATTEMPTS.labels(name, "ok").inc()
        self._standstill.acknowledged()
        self._outage.over()
        self.pressure.answered()
        SEND_SECONDS.labels(name).observe(time.perf_counter() - begun)
        BATCH_RECORDS.labels(name).observe(len(batch))
        return refusals

    def _failed(self, error: TransportError) -> None:
        self._outage.failed(error)
        self.pressure.failed(error)

    async def _settle(self, batch: Sequence[Envelope], refusals: Sequence[Refusal]) -> None:
        refused = {refusal.index for refusal in refusals}
        accepted = [_number(one) for at, one in enumerate(batch) if at not in refused]
        if accepted:
            self._refused_in_a_row = 0
            await self.journal.acknowledge(ranges_of(accepted))
            ACKNOWLEDGED.labels(self.transport.name).inc(len(accepted))
        for refusal in refusals:
            await self._set_aside(batch[refusal.index], refusal)

    async def _set_aside(self, envelope: Envelope, refusal: Refusal) -> None:
        if refusal.reason in FOREIGN:
            raise NotAuthorised(f"core refuses this publisher's records: {refusal.reason}")
        if self._refused_in_a_row >= REFUSED_IN_A_ROW:
            raise EverythingRefused(
                f"{REFUSED_IN_A_ROW} records in a row were refused, lately for {refusal.reason}: "
                f"{refusal.detail}"
            )
        self._refused_in_a_row += 1
        number = _number(envelope)
        self._log.error(
            "record_refused",
            sequence=number,
            epoch=str(envelope.publisherepoch),
            type=envelope.type,
            reason=refusal.reason,
            detail=refusal.detail,
            bytes=len(envelope.data),
        )
        UNDELIVERABLE_RECORDS.labels(self.transport.name).inc()
        if envelope.type == UNDELIVERABLE:
            return  # no report on a report: it stays pending and is sent again by the next opening
        await self.journal.set_aside(number, reason=refusal.reason, detail=refusal.detail)


def _begin_at_zero(transport: str) -> None:
    """Let the metrics of a transport be there before anything was sent."""
    for result in ("ok", *CAUSES):
        ATTEMPTS.labels(transport, result)
    for metric in (ACKNOWLEDGED, UNDELIVERABLE_RECORDS, SEND_SECONDS, BATCH_RECORDS):
        metric.labels(transport)


def _say_ahead(log: Any, error: ClockAhead, records: int, *, corrected: bool) -> None:
    said = log.bind(
        records=records,
        ahead_seconds=round(error.ahead_seconds, 1),
        allowed_seconds=error.skew_seconds,
    )
    if corrected:
        said.warning("received_times_corrected")
    else:
        said.error(
            "clock_ahead",
            error=str(error),
            consequence="frames are journalled, and core takes none of them",
            remedy="set this machine's clock (NTP), or core's if that is the wrong one; what is "
            "journalled is then sent, nothing is lost",
        )


def _number(envelope: Envelope) -> int:
    if envelope.sequence is None:
        raise AssertionError("every journalled record has a number")
    return envelope.sequence
