"""The `ingress publisher` commands."""

import asyncio
import os
from pathlib import Path

import click

from ingress_runtime import logs, shutdown
from ingress_runtime.settings import LogSettings, load
from telematics_publisher import provider, service, streams
from telematics_publisher.errors import JournalError, StreamsError
from telematics_publisher.settings import PublisherSettings, TransportSettings
from telematics_publisher.streams import Workspace


@click.group()
def publisher() -> None:
    """Run the edge: provider websockets into a journal, and from there to core.

    \b
    Example:
      ingress publisher run --streams streams.toml
    """  # noqa: D301 — click reads the escape


@publisher.command()
@click.option(
    "--streams",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that lists workspaces and streams; PUBLISHER_STREAMS or streams.toml by default.",
)
def run(path: Path | None) -> None:
    """Read every stream, journal each frame, send it until core has it.

    SIGTERM stops reading, drains the journals within PUBLISHER_GRACE_SECONDS, and keeps the rest
    for the next start.

    \b
    Example of a streams.toml:
      [workspaces.acme]
      publisher = "edge-1"
      api_key = { env = "ACME_INGEST_KEY" }
      [[streams]]
      name = "buses"
      workspace = "acme"
      provider = "viriciti"
      credential = { file = "/run/secrets/viriciti" }
      [streams.vehicles]
      arcc_004 = ["gps", "speed", "odo", "soc", "power"]

    \b
    Example:
      export INGRESS_API_URL=https://ingress.example.com ACME_INGEST_KEY=...
      ingress publisher run --streams streams.toml
    """  # noqa: D301 — click reads the escape
    log_settings, settings, transport = load(LogSettings, PublisherSettings, TransportSettings)
    try:
        workspaces = streams.load(path or settings.streams, os.environ, provider.installed())
    except StreamsError as error:
        raise click.UsageError(str(error)) from error
    logs.configure(log_settings)
    try:
        asyncio.run(_run(workspaces, settings, transport))
    except* JournalError as group:
        raise click.ClickException(str(_first(group))) from group
    except* OSError as group:
        raise click.ClickException(f"the publisher cannot run: {_first(group)}") from group


def _first(error: BaseException) -> BaseException:
    """Return the first error that is no group."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _run(
    workspaces: tuple[Workspace, ...], settings: PublisherSettings, transport: TransportSettings
) -> None:
    async with shutdown.on_signals() as stop:
        await service.run(workspaces, settings, transport, stop)
