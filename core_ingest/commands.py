"""`ingress migrate`."""

import asyncio

import click

from core_ingest.errors import IngestError
from core_ingest.store.database import DatabaseSettings
from core_ingest.store.migrate import migrate as apply
from ingress_runtime.settings import load


@click.command(
    epilog="Example:\n\n  INGRESS_DATABASE_URL=postgresql://core@localhost/core ingress migrate"
)
def migrate() -> None:
    """Bring the database in INGRESS_DATABASE_URL to this version's schema.

    Forward only, safe to run from several places at once, and to run again.
    """
    (settings,) = load(DatabaseSettings)
    try:
        applied = asyncio.run(apply(settings.url.get_secret_value()))
    except IngestError as error:
        raise click.ClickException(str(error)) from error
    for name in applied:
        click.echo(f"applied {name}")
    click.echo("the schema is up to date")
