"""`ingress consumer`."""

import asyncio

import click

from core_consumer import service
from core_consumer.settings import ConsumerSettings
from core_ingest.errors import IngestError
from core_ingest.store.database import DatabaseSettings
from ingress_runtime import faults, logs, shutdown, tracing
from ingress_runtime.faults import FaultSettings
from ingress_runtime.kafka.errors import KafkaTrouble
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.settings import LogSettings, load
from ingress_runtime.tracing import TracingSettings


@click.command(
    epilog="""\b
Examples:
  export INGRESS_DATABASE_URL=postgresql://core@localhost/core
  INGRESS_KAFKA_BOOTSTRAP=kafka-1:9092,kafka-2:9092 ingress consumer
  CORE_CONSUMER_GROUP=telematics-core-2 ingress consumer    # reads the whole topic again
"""
)
def consumer() -> None:
    """Read envelopes from the Kafka topic into core's database.

    Start as many as the topic has partitions; they share them. Settings are the environment
    variables INGRESS_KAFKA_*, INGRESS_DATABASE_URL and CORE_CONSUMER_*. Starts only where
    `ingress topics create` has made the topic and `ingress migrate` has prepared the database.
    SIGTERM finishes the batch in work, commits its offsets and leaves the group.
    """
    settings, kafka, database_settings, log_settings, fault_settings, traced = load(
        ConsumerSettings,
        KafkaSettings,
        DatabaseSettings,
        LogSettings,
        FaultSettings,
        TracingSettings,
    )
    kafka.servers  # noqa: B018 — refuses the start where no brokers are named
    logs.configure(log_settings)
    faults.arm(fault_settings)
    try:
        with tracing.started(traced, "ingress-consumer"):
            asyncio.run(_run(settings, kafka, database_settings))
    except (IngestError, KafkaTrouble) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        where = f"{settings.metrics_host}:{settings.metrics_port}"
        raise click.ClickException(
            f"cannot listen on {where}: {error.strerror or error}. Stop the consumer that runs "
            "there, or choose another CORE_CONSUMER_METRICS_HOST or CORE_CONSUMER_METRICS_PORT (0 "
            "takes a free port)."
        ) from error


async def _run(
    settings: ConsumerSettings, kafka: KafkaSettings, database_settings: DatabaseSettings
) -> None:
    async with shutdown.on_signals() as stop:
        await service.run(settings, kafka, database_settings, stop)
