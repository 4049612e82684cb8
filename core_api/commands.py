"""`ingress api` and `ingress keys`."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
import uvloop
from pydantic import TypeAdapter, ValidationError

from core_api import server
from core_api.app import create_app
from core_api.duration import duration
from core_api.key_store import KeyEnded, KeyStore, ListedKey, Rotation
from core_api.keys import NewKey, Role, id_of
from core_api.readiness import Readiness
from core_api.services import open_services
from core_api.settings import ApiSettings
from core_ingest.errors import IngestError
from core_ingest.store import database
from core_ingest.store.database import DatabaseSettings
from ingress_contracts.fields import Name
from ingress_runtime import faults, logs, tracing
from ingress_runtime.faults import FaultSettings
from ingress_runtime.settings import LogSettings, SettingsError, load
from ingress_runtime.tracing import TracingSettings

T = TypeVar("T")

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@click.command(
    epilog="""\b
Examples:
  INGRESS_DATABASE_URL=postgresql://core@localhost/core ingress api
  CORE_API_HOST=0.0.0.0 CORE_API_PORT=8080 ingress api
  CORE_API_PORT=0 ingress api --port-file /run/ingress/api.port
"""
)
@click.option(
    "--port-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the port here once requests are taken; for CORE_API_PORT=0.",
)
def api(port_file: Path | None) -> None:
    """Serve the HTTP door for messages and the read API.

    Settings are the environment variables INGRESS_DATABASE_URL and CORE_API_*. Starts only on a
    database that `ingress migrate` has prepared. SIGTERM finishes accepted requests, then ends.
    """
    settings, database_settings, log_settings, fault_settings, traced = load(
        ApiSettings, DatabaseSettings, LogSettings, FaultSettings, TracingSettings
    )
    logs.configure(log_settings)
    faults.arm(fault_settings)
    _check_pool(settings, database_settings)
    try:
        listener = server.listen(settings.host, settings.port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. "
            "Choose another CORE_API_HOST or CORE_API_PORT (0 takes a free port)."
        ) from None
    app = create_app(partial(open_services, settings, database_settings))
    with listener, tracing.started(traced, "ingress-api"):
        _run(lambda: server.serve(app, settings, listener, port_file))


def _check_pool(settings: ApiSettings, database_settings: DatabaseSettings) -> None:
    """Refuse a pool in which a commit could wait for a read."""
    if database_settings.pool_size < settings.connections:
        problem = (
            f"  INGRESS_DATABASE_POOL_SIZE={database_settings.pool_size}: the API needs "
            f"{settings.connections} connections (CORE_API_COMMIT_WORKERS + "
            "CORE_API_READ_CONNECTIONS + 3). Raise the one or lower the others."
        )
        raise SettingsError([problem])


@click.group(
    epilog="""\b
Examples:
  ingress keys create --role ingest --workspace acme --publisher edge-1
  ingress keys create --role read --workspace acme --json
  ingress keys list --workspace acme
  ingress keys rotate 0123456789abcdef --overlap 24h
  ingress keys revoke 0123456789abcdef
"""
)
def keys() -> None:
    """Make, list, rotate and revoke API keys, in the database of INGRESS_DATABASE_URL."""


def _name(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Hold a name to the rule of the contract."""
    if value is None:
        return None
    try:
        return _NAME.validate_python(value)
    except ValidationError:
        raise click.BadParameter(
            f"{value!r} is no name: letters, digits, dot, underscore and hyphen, at most 128, "
            "beginning with a letter or digit."
        ) from None


def _id(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    """Take the id of a key, also from a whole key; what was typed may be secret: never repeat it."""
    id_ = id_of(value)
    if id_ is None:
        raise click.BadParameter(
            "this is no id of a key: 16 hexadecimal digits, such as 0123456789abcdef; "
            "`ingress keys list` shows all ids."
        )
    if id_ != value:
        click.echo(
            f"That is a whole key. Its id is {id_}: use that, since the shell's history and the "
            "list of processes show what is typed here.",
            err=True,
        )
    return id_


def _duration(_context: click.Context, _option: click.Parameter, value: str) -> timedelta:
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@keys.command(
    epilog="""\b
Examples:
  ingress keys create --role ingest --workspace acme --publisher edge-1
  ingress keys create --role read --workspace acme
  ingress keys create --role admin
"""
)
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option(
    "--workspace",
    callback=_name,
    help="The workspace the key is for; made if it is new. An admin's key may do without: all.",
)
@click.option(
    "--publisher", callback=_name, help="The publisher id that an ingest key is bound to."
)
@_as_json
def create(role: str, workspace: str | None, publisher: str | None, as_json: bool) -> None:
    """Make a key and print it: this is the only time it is shown."""
    chosen = Role(role)
    if workspace is None and chosen is not Role.ADMIN:
        raise click.UsageError(f"A key of role {role} needs --workspace.")
    if (publisher is not None) != (chosen is Role.INGEST):
        needs = "needs" if chosen is Role.INGEST else "takes no"
        raise click.UsageError(f"A key of role {role} {needs} --publisher.")
    key = _with_store(lambda store: store.create(chosen, workspace, publisher))
    if key.founds:
        click.echo(f"workspace {workspace} is new", err=True)
    if as_json:
        made = {"id": key.id, "key": key.text, "role": role}
        click.echo(json.dumps({**made, "workspace": workspace, "publisher": publisher}))
        return
    _show(key)


def _show(key: NewKey) -> None:
    click.echo(f"id:  {key.id}\nkey: {key.text}")
    click.echo("Keep the key now: it is stored nowhere and cannot be shown again.", err=True)


@keys.command(
    name="list",
    epilog="""\b
Examples:
  ingress keys list
  ingress keys list --workspace acme --json
""",
)
@click.option("--workspace", callback=_name, help="Only the keys of this workspace.")
@_as_json
def list_(workspace: str | None, as_json: bool) -> None:
    """List keys by id, oldest first; the keys themselves are stored nowhere."""
    found = _with_store(lambda store: store.list(workspace))
    if as_json:
        click.echo(json.dumps([asdict(key) for key in found], default=datetime.isoformat))
        return
    for key in found:
        click.echo(_line(key))
    if not found:
        click.echo("no keys; make one with `ingress keys create`", err=True)


def _line(key: ListedKey) -> str:
    publisher = f" as {key.publisher}" if key.publisher else ""
    where = key.workspace or "all workspaces"
    made = f"created {key.created:%Y-%m-%d}"
    return f"{key.id}  {key.role:<6}  {where}{publisher}  {made}  {_state(key)}"


def _state(key: ListedKey) -> str:
    if key.revoked is not None:
        return f"revoked {_at(key.revoked)}"
    if key.expires is not None:
        return f"active until {_at(key.expires)}" if key.valid else f"expired {_at(key.expires)}"
    return "active"


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%SZ}"


@keys.command(
    epilog="""\b
Examples:
  ingress keys rotate 0123456789abcdef
  ingress keys rotate 0123456789abcdef --overlap 7d
  ingress keys rotate 0123456789abcdef --overlap 0
"""
)
@click.argument("id_", metavar="ID", callback=_id)
@click.option(
    "--overlap",
    callback=_duration,
    default="24h",
    show_default=True,
    help="How long the old key stays valid beside the new one: 90s, 30m, 24h, 7d; 0 for a key "
    "that has leaked.",
)
@_as_json
def rotate(id_: str, overlap: timedelta, as_json: bool) -> None:
    """Make a key that may do what the key with this ID may, and let that one end after a while.

    Until then both are valid, so that clients can change over one after the other.
    """
    try:
        made = _with_store(lambda store: store.rotate(id_, overlap))
    except KeyEnded:
        raise click.ClickException(
            f"key {id_} has ended already; make a new one with `ingress keys create`"
        ) from None
    if made is None:
        raise _unknown(id_)
    if as_json:
        new = {"id": made.key.id, "key": made.key.text, "role": made.role.value}
        of = {"workspace": made.workspace, "publisher": made.publisher}
        old = {"rotated": id_, "rotated_ends": made.old_ends.isoformat()}
        click.echo(json.dumps({**new, **of, **old}))
        return
    _show(made.key)
    click.echo(
        f"{id_} ends at {_at(made.old_ends)}; API processes refuse it within "
        f"CORE_API_KEY_CACHE_SECONDS of that.\n{_next_step(made, overlap)}",
        err=True,
    )


def _next_step(made: Rotation, overlap: timedelta) -> str:
    """Return what the operator does with a successor."""
    by = f"before {_at(made.old_ends)}" if overlap else "now"
    if made.role is not Role.INGEST:
        return f"Give the new key to whoever uses the old one {by}."
    return (
        f"Put the new key where the publisher reads it and restart the publisher {by}: it reads "
        "keys only at its start."
    )


@keys.command(
    epilog="""\b
Example:
  ingress keys revoke 0123456789abcdef
"""
)
@click.argument("id_", metavar="ID", callback=_id)
@_as_json
def revoke(id_: str, as_json: bool) -> None:
    """Revoke the key with this ID. API processes refuse it within CORE_API_KEY_CACHE_SECONDS."""
    revoked = _with_store(lambda store: store.revoke(id_))
    if revoked is None:
        raise _unknown(id_)
    if as_json:
        click.echo(json.dumps({"id": id_, "revoked": revoked.isoformat()}))
        return
    click.echo(f"{id_} is revoked since {_at(revoked)}")


def _unknown(id_: str) -> click.ClickException:
    return click.ClickException(f"there is no key {id_!r}; `ingress keys list` shows all ids")


def _with_store(work: Callable[[KeyStore], Awaitable[T]]) -> T:
    database_settings, log_settings = load(DatabaseSettings, LogSettings)
    logs.configure(log_settings)

    async def run() -> T:
        pool = await database.connect(
            database_settings.url.get_secret_value(), min_size=1, max_size=1
        )
        try:
            await Readiness(pool).require_migrated()
            return await work(KeyStore(pool))
        finally:
            await pool.close()

    return _run(run)


def _run(work: Callable[[], Coroutine[None, None, T]]) -> T:
    """Run `work` on uvloop; what core says of its database becomes the command's last word."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(work())
        except IngestError as error:
            raise click.ClickException(str(error)) from None
