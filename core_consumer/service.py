"""The consumer process: a pool, a pipeline, FastStream around them, and what the probes are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from core_consumer.breaker import Breaker
from core_consumer.pipeline import Pace, Pipeline
from core_consumer.settings import ConsumerSettings
from core_consumer.subscriber import Rebalances, Voice, make_broker, subscribe
from core_consumer.watch import Watch
from core_ingest.errors import translated as translated_by_store
from core_ingest.handler import IngestHandler
from core_ingest.store import database, migrate
from core_ingest.store.database import DatabaseSettings
from ingress_runtime import collector, faults, metrics
from ingress_runtime.backoff import Backoff
from ingress_runtime.heartbeat import Heartbeat
from ingress_runtime.kafka import topics
from ingress_runtime.kafka.connection import connected, options
from ingress_runtime.kafka.errors import KafkaTrouble, translated
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.shutdown import Shutdown

_START_SECONDS = 20.0
_FIRST_PAUSE = 0.25
_LONGEST_PATIENCE = 10.0
_OBJECTS_A_RECORD = 60
"""More than one makes on its way, times the batches that are alive at once: fetched, read, in work.
With the usual number the collector had a tenth of the process's time (measured)."""

_CONNECTIONS = 2  # a transaction, and what is looked up or made before it

log = structlog.get_logger()


class Consumption:
    """One member of the group, from `start` to `stop`."""

    def __init__(
        self, settings: ConsumerSettings, kafka: KafkaSettings, handler: IngestHandler
    ) -> None:
        self._settings = settings
        self._voice = Voice()
        self._broker = make_broker(options(kafka), settings.metadata_seconds, self._voice)
        half = settings.rebalance_seconds / 2
        self.pipeline = Pipeline(
            handler,
            self.consumer,
            breaker=Breaker(settings.breaker_records, settings.breaker_share),
            pace=Pace(
                patience=min(settings.poll_interval_seconds / 4, _LONGEST_PATIENCE),
                farewell=half,
                backoff=Backoff(_FIRST_PAUSE, settings.retry_seconds, floor=_FIRST_PAUSE / 5),
            ),
        )
        self.watch = Watch(kafka.topic, self.pipeline.positions, self.consumer)
        self._subscriber = subscribe(
            self._broker,
            kafka.topic,
            settings,
            self.pipeline.take,
            Rebalances(self.pipeline, self.consumer, half / 2),
        )
        self._stopping = False
        self._joined = False

    def consumer(self) -> Any:
        """Return aiokafka's consumer, which is there from the start on."""
        if self._subscriber.consumer is None:
            raise AssertionError("the consumer was not started, or is stopped")
        return self._subscriber.consumer

    def ready(self) -> bool | str:
        """Return whether records flow, or why they do not: for the probe's thread."""
        if self._stopping:
            return "The process is shutting down."
        if not self._joined:
            return "The consumer has not joined its group yet."
        objections = (self.watch.objection, self.pipeline.objection, self._voice.objection)
        return next(filter(None, objections), None) or True

    async def start(self) -> None:
        """Join the group; return once partitions are assigned. Raises KafkaTrouble."""
        try:
            await self._broker.start()
        except KafkaError as error:
            raise translated(error) from error
        self._joined = True

    async def broken(self) -> None:
        """Wait until aiokafka reads no more, whatever is polled: only a new start mends that.

        Its tasks outlive every trouble that it knows of. Raises KafkaTrouble.
        """
        consumer = self.consumer()
        done, _ = await asyncio.wait(
            {
                consumer._coordinator._coordination_task,  # noqa: SLF001 — nothing public tells
                consumer._fetcher.error_future,  # noqa: SLF001 — likewise
            },
            return_when=asyncio.FIRST_COMPLETED,
        )
        (ended, *_) = done
        error = None if ended.cancelled() else ended.exception()
        raise KafkaTrouble(
            f"the Kafka client has ended by itself{f': {error}' if error else ''}. Start the "
            "consumer again: it reads on where its group stands"
        ) from error

    async def stop(self) -> None:
        """Finish the batch in work, commit, and leave the group, all within the grace period."""
        self._stopping = True
        grace = self._settings.grace_seconds
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        if self._subscriber.consumer is not None and not await self.pipeline.close(grace / 2):
            log.warning("batch_abandoned", waited_seconds=grace / 2)
        try:
            async with asyncio.timeout_at(deadline):
                await self._broker.stop()
        except (TimeoutError, KafkaError) as error:
            # The brokers find out by themselves, once the session has ended.
            log.warning("group_not_left", why=str(error) or type(error).__name__)


async def run(
    settings: ConsumerSettings,
    kafka: KafkaSettings,
    database_settings: DatabaseSettings,
    stop: Shutdown,
) -> None:
    """Consume until `stop` is requested, then finish within the grace period.

    Raises KafkaTrouble where brokers or topic are not there or the client breaks, IngestError where
    the database is not or lacks migrations, OSError where the metrics port cannot be bound.
    """
    structlog.contextvars.bind_contextvars(topic=kafka.topic, group=settings.group)
    async with connected(kafka, _START_SECONDS) as client:
        await topics.require(client, kafka.topic)
    async with _pool(database_settings) as pool:
        consumption = Consumption(settings, kafka, IngestHandler(pool, step=_pass_fault_point))
        heart = Heartbeat()
        with metrics.start_server(
            settings.metrics_host,
            settings.metrics_port,
            probes={"/livez": heart.alive, "/readyz": consumption.ready},
        ) as server:
            log.info("metrics_served", host=server.host, port=server.port)
            beat = asyncio.create_task(heart.beat())
            try:
                await _consume(consumption, settings, stop)
            finally:
                beat.cancel()
    log.info("consumer_stopped")


async def _consume(consumption: Consumption, settings: ConsumerSettings, stop: Shutdown) -> None:
    asking = asyncio.create_task(stop.wait())
    joining = asyncio.create_task(consumption.start())
    attending: list[asyncio.Task[None]] = []
    try:
        await asyncio.wait({asking, joining}, return_when=asyncio.FIRST_COMPLETED)
        if joining.done():
            await joining
            log.info("consumer_started", group=settings.group)
            collector.spare_batches(_OBJECTS_A_RECORD * settings.batch_records)
            attending = [
                asyncio.create_task(consumption.watch.run(settings.watch_seconds)),
                asyncio.create_task(consumption.broken()),
            ]
            await asyncio.wait({asking, *attending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (asking, joining, *attending):
            task.cancel()
        await asyncio.wait({joining})
        await consumption.stop()
    for task in attending:
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _pool(settings: DatabaseSettings) -> AsyncIterator[asyncpg.Pool]:
    pool = await database.connect(
        settings.url.get_secret_value(),
        min_size=1,
        max_size=max(_CONNECTIONS, settings.pool_size),
        statement_timeout=settings.statement_timeout_seconds,
    )
    try:
        with translated_by_store():
            async with pool.acquire() as connection:
                await migrate.require(connection)
        yield pool
    finally:
        await database.close(pool)


async def _pass_fault_point(step: str) -> None:
    """Go on between the steps of a transaction, unless a trial has this process end there."""
    point = faults.TRANSACTION_STEPS.get(step)
    if point is not None:
        faults.passed(point)
