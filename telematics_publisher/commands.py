"""The `ingress publisher` commands."""

import asyncio
import os
from pathlib import Path
from textwrap import indent

import click

from ingress_runtime import faults, logs, shutdown, tracing
from ingress_runtime.faults import FaultSettings
from ingress_runtime.findings import report
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.settings import LogSettings, load
from ingress_runtime.tracing import TracingSettings
from telematics_publisher import check as checking
from telematics_publisher import provider, service, streams
from telematics_publisher.errors import JournalError, StreamsError, WayClosed
from telematics_publisher.settings import PublisherSettings, TransportSettings
from telematics_publisher.streams import Workspace
from telematics_publisher.ways import Way

_EXAMPLE = streams.SHORTEST.replace("\n\n", "\n")  # a paragraph, which click leaves as it is


@click.group()
def publisher() -> None:
    """Run the edge: provider websockets into a journal, and from there to core.

    \b
    Examples:
      ingress publisher check --streams streams.toml
      ingress publisher run --streams streams.toml
    """  # noqa: D301 — click reads the escape


_streams = click.option(
    "--streams",
    "path",
    type=click.Path(path_type=Path),
    help="The file that lists workspaces and streams; PUBLISHER_STREAMS or streams.toml by default.",
)


@publisher.command(
    epilog="""\b
Examples:
  ingress publisher check
  ingress publisher check --streams streams.toml --stream buses --seconds 120
  ingress publisher check --json
"""
)
@_streams
@click.option("--stream", "only", metavar="NAME", help="Try the streams of this name only.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3_600, min_open=True),
    default=30.0,
    show_default=True,
    help="How long to listen to a stream for its first three frames.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def check(path: Path | None, only: str | None, seconds: float, as_json: bool) -> None:
    """Try what `publisher run` will do: file, core or Kafka, keys, clocks, journals, every stream.

    Each stream is connected and subscribed, and its first three frames are shown. Nothing is
    journalled and nothing is stored in core. This opens a subscription of its own with the same
    key, beside that of a publisher that runs: a provider may limit how many a key has. Each finding
    that is not `ok` says what to do; the exit code is 0 only if all is well.
    """
    settings, transport, kafka, log_settings = load(
        PublisherSettings, TransportSettings, KafkaSettings, LogSettings
    )
    logs.configure(log_settings)
    way = Way(transport, kafka)
    found = checking.check(path or settings.streams, settings, way, only=only, seconds=seconds)
    if not asyncio.run(report(found, as_json=as_json)):
        raise SystemExit(1)


@publisher.command(
    epilog=f"""\b
Example of a streams.toml:
{indent(_EXAMPLE, "  ")}
\b
Examples:
  export INGRESS_API_URL=https://ingress.example.com ACME_INGEST_KEY=... VIRICITI_API_KEY=...
  ingress publisher run --streams streams.toml
  export INGRESS_TRANSPORT=kafka INGRESS_KAFKA_BOOTSTRAP=kafka-1:9092,kafka-2:9092
  ingress publisher run --streams streams.toml
"""
)
@_streams
def run(path: Path | None) -> None:
    """Read every stream, journal each frame, send it until core has it.

    SIGTERM stops reading, drains the journals within PUBLISHER_GRACE_SECONDS, and keeps the rest
    for the next start.
    """
    log_settings, settings, transport, kafka, fault_settings, traced = load(
        LogSettings,
        PublisherSettings,
        TransportSettings,
        KafkaSettings,
        FaultSettings,
        TracingSettings,
    )
    way = Way(transport, kafka)
    try:
        workspaces = streams.load(
            path or settings.streams,
            os.environ,
            provider.installed(),
            api_keys=way.needs_api_keys,
        )
    except StreamsError as error:
        raise click.UsageError(str(error)) from error
    logs.configure(log_settings)
    faults.arm(fault_settings)
    try:
        with tracing.started(traced, "ingress-publisher"):
            asyncio.run(_run(workspaces, settings, way))
    except* (JournalError, WayClosed) as group:
        raise click.ClickException(str(_first(group))) from group
    except* OSError as group:
        raise click.ClickException(_why(_first(group), settings)) from group


def _why(error: BaseException, settings: PublisherSettings) -> str:
    """Say what an OSError of the start is about: a file, or the port of the metrics."""
    if not isinstance(error, OSError):
        return str(error)
    if error.filename is not None:
        return (
            f"journals cannot be kept in {settings.journal_dir}: {error.filename}: "
            f"{error.strerror}. Choose a PUBLISHER_JOURNAL_DIR on a local disk that this user may "
            "write to."
        )
    where = f"{settings.metrics_host}:{settings.metrics_port}"
    return (
        f"cannot listen on {where}: {error.strerror or error}. Stop the publisher that runs there, "
        "or choose another PUBLISHER_METRICS_HOST or PUBLISHER_METRICS_PORT (0 takes a free port)."
    )


def _first(error: BaseException) -> BaseException:
    """Return the first error that is no group."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _run(workspaces: tuple[Workspace, ...], settings: PublisherSettings, way: Way) -> None:
    async with shutdown.on_signals() as stop:
        await service.run(workspaces, settings, way, stop)
