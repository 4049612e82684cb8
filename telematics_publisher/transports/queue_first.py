"""Kafka first, HTTP while Kafka is away.

A batch that Kafka did not confirm in time goes over HTTP at once. That does not cancel it: Kafka may
have it all the same, or take it later, and core sorts the copies out. While the circuit is open,
everything goes over HTTP, and now and then a batch goes over Kafka too, as a probe that nothing
waits for. Where HTTP fails as well, every attempt tries both ways.

A checkpoint names Kafka always, since what stands in the topic may not have been read yet: one that
goes over HTTP alone counts once a later one has come by Kafka. It names HTTP from the first batch
that went there until HTTP has taken a checkpoint.
"""

import asyncio
from collections.abc import Coroutine, Sequence

import structlog
from prometheus_client import Counter, Enum

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CHECKPOINT
from telematics_publisher.breaker import Breaker, Circuit
from telematics_publisher.errors import BatchRefused, NotAuthorised, TransportError, Unavailable
from telematics_publisher.transport import Refusal, Transport

BATCHES = Counter(
    "publisher_way_batches_total",
    "Batches and checkpoints acknowledged under queue-first, by the way that they went.",
    ["way"],
)
RECORDS = Counter(
    "publisher_way_records_total",
    "Records acknowledged under queue-first, by the way that they went.",
    ["way"],
)
for _way in ("kafka", "http"):
    BATCHES.labels(_way)
    RECORDS.labels(_way)
FAILOVERS = Counter(
    "publisher_failovers_total", "Times that all traffic went over to HTTP, since Kafka failed."
)
PROBES = Counter(
    "publisher_probes_total",
    "Batches sent over Kafka to see whether it is back, by what came of it: ok or failed.",
    ["result"],
)
for _result in ("ok", "failed"):
    PROBES.labels(_result)
BREAKER_STATE = Enum(
    "publisher_breaker_state",
    "Under queue-first, whether traffic goes over Kafka: closed; or over HTTP: open, and half_open "
    "while Kafka is probed. All workspaces share the breaker.",
    states=[str(one) for one in Circuit],
)

log = structlog.get_logger()


class QueueFirst:
    """Publishes by `first`, Kafka, while `breaker` lets it, and else by `second`, HTTP.

    Whoever shares the brokers shares the breaker. `topic` is the one of `first`.
    """

    name = "queue-first"
    copies: Sequence[Route] = ()

    def __init__(
        self, first: Transport, second: Transport, breaker: Breaker, *, topic: str, workspace: str
    ) -> None:
        self._first = first
        self._second = second
        self._breaker = breaker
        # Until the topic's partitions are known, one stands for them: so nothing counts too early.
        self._known: Sequence[Route] = (Route(door="kafka", topic=topic, partitions=1),)
        self._second_used = False
        self._tasks: set[asyncio.Task[bool]] = set()
        self._log = log.bind(topic=topic, workspace=workspace)
        BREAKER_STATE.state(breaker.circuit)

    async def routes(self) -> Sequence[Route]:
        """Return Kafka's route as it was last seen, and HTTP's while that is in use."""
        if self._breaker.closed:
            try:
                self._known = await self._first.routes()
            except TransportError as error:
                self._failed(error)
        if self._breaker.closed and not self._second_used:
            return self._known
        return (*self._known, *await self._second.routes())

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Publish by the way that works. See Transport.publish."""
        if not self._breaker.closed:
            return await self._publish_second(batch)
        taken = None
        if self._second_used and _is_checkpoint(batch):
            taken = self._spawn(self._checkpoint_second(batch))
        try:
            await self._first.publish(batch)
        except BatchRefused:
            return await self._publish_second(batch)  # an answer; HTTP may have other limits
        except TransportError as error:
            self._failed(error)
            if taken is not None and await taken:
                return ()
            return await self._publish_second(batch)
        _count("kafka", batch)
        return ()

    async def aclose(self) -> None:
        """Give up what nothing waits for, and close both ways."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._second.aclose()
        await self._first.aclose()

    async def _publish_second(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        probe = self._spawn(self._probe(batch)) if self._breaker.probe() else None
        self._second_used = self._second_used or not _is_checkpoint(batch)
        try:
            refusals = await self._second.publish(batch)
        except BatchRefused:
            raise
        except TransportError as error:
            if probe is None and self._breaker.probe(urgent=True):
                probe = self._spawn(self._probe(batch))
            if probe is not None and await asyncio.shield(probe):
                _count("kafka", batch)
                return ()
            if isinstance(error, NotAuthorised):  # that ends a sender; but Kafka may come back
                raise Unavailable(f"Kafka is away, and over HTTP: {error}") from error
            raise
        _count("http", batch)
        return refusals

    async def _checkpoint_second(self, batch: Sequence[Envelope]) -> bool:
        """Send a checkpoint over HTTP as well: once it is there, HTTP is in use no more."""
        try:
            await self._second.publish(batch)
        except TransportError as error:
            self._log.debug("checkpoint_not_taken", way="http", error=str(error))
            return False
        self._second_used = False
        _count("http", batch)
        return True

    async def _probe(self, batch: Sequence[Envelope]) -> bool:
        """Send a batch over Kafka, which goes or went over HTTP too, and tell the breaker."""
        well = False
        BREAKER_STATE.state(self._breaker.circuit)
        try:
            await self._first.publish(batch)
            well = True
        except BatchRefused:
            well = True  # an answer
            return False
        except TransportError as error:
            self._log.debug("probe_failed", error=str(error))
        finally:
            PROBES.labels("ok" if well else "failed").inc()
            if self._breaker.probed(well=well):
                self._log.info("kafka_is_back", consequence="traffic goes over Kafka again")
            BREAKER_STATE.state(self._breaker.circuit)
        return well

    def _failed(self, error: TransportError) -> None:
        if self._breaker.failed():
            FAILOVERS.inc()
            self._log.warning(
                "fallen_over_to_http",
                error=str(error),
                consequence="traffic goes over HTTP until Kafka has answered some probes in a row; "
                "what it did not confirm is sent again and may come twice, which core sorts out",
                remedy="`ingress topics check` says more of the brokers",
            )
        BREAKER_STATE.state(self._breaker.circuit)

    def _spawn(self, work: Coroutine[object, object, bool]) -> "asyncio.Task[bool]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _is_checkpoint(batch: Sequence[Envelope]) -> bool:
    return batch[0].type == CHECKPOINT


def _count(way: str, batch: Sequence[Envelope]) -> None:
    BATCHES.labels(way).inc()
    if not _is_checkpoint(batch):
        RECORDS.labels(way).inc(len(batch))
