"""`ingress dead-letters`."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import click
from pydantic import TypeAdapter, ValidationError

from core_ingest.dead_letters import texts
from core_ingest.dead_letters.desk import ReplayRunning, desk
from core_ingest.dead_letters.filters import Filters, Grouping, LetterCursor, State
from core_ingest.dead_letters.replay import Plan, rehearse, replay, start
from core_ingest.dead_letters.store import DeadLetters, NoSuchLetter, NoSuchWorkspace
from core_ingest.door import Door
from core_ingest.errors import IngestError
from core_ingest.store import database, migrate
from core_ingest.store.database import DatabaseSettings
from ingress_contracts.fields import Instant
from ingress_runtime import faults, logs
from ingress_runtime.faults import FaultSettings
from ingress_runtime.settings import LogSettings, load
from ingress_runtime.shutdown import Shutdown, on_signals

T = TypeVar("T")
Command = Callable[..., Any]

_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_MOST_LISTED = 10_000
_MOST_AT_ONCE = 2_000
_FINDS = ("reason", "provider", "publisher", "door", "origin", "since", "until")


class _Interrupted(click.ClickException):
    """The command did a part of its work; the same command does the rest."""

    exit_code = 130


def _instant(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return _INSTANT.validate_python(text)
    except ValidationError:
        raise click.BadParameter(
            f"{text!r} is no instant: write RFC 3339 with an offset, such as 2026-01-31T12:00:00Z."
        ) from None


def _cursor(_context: click.Context, _option: click.Parameter, text: str | None) -> LetterCursor:
    try:
        return LetterCursor() if text is None else LetterCursor.read(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


def _filtered(command: Command) -> Command:
    """Add the options that choose letters."""
    for option in reversed(
        (
            click.option("--reason", help="Only letters of this reason, such as not_json."),
            click.option("--provider", help="Only letters of this provider."),
            click.option("--publisher", help="Only letters of this publisher."),
            click.option(
                "--door",
                type=click.Choice([door.value for door in Door]),
                help="Only letters that came by this door.",
            ),
            click.option("--origin", help="Only the letters of this message."),
            click.option(
                "--since", callback=_instant, help="Dead-lettered at this instant or later."
            ),
            click.option("--until", callback=_instant, help="Dead-lettered before this instant."),
        )
    ):
        command = option(command)
    return command


def _filters(found: dict[str, Any]) -> Filters:
    return Filters(**{name: found.pop(name) for name in _FINDS})


_workspace = click.option("--workspace", required=True, help="The workspace that keeps them.")
_all = click.option("--all", "everything", is_flag=True, help="All that wait; instead of filters.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group(name="dead-letters")
def dead_letters() -> None:
    """Find out why messages became dead letters, replay them once that is mended, or discard them.

    In the database of INGRESS_DATABASE_URL. docs/dead-letters.md walks through it.

    \b
    Examples:
      ingress dead-letters list --by reason
      ingress dead-letters show acme edge-1/01943f10-8f7a-7c3e-9d52-5f0c2b1a7e44/41
      ingress dead-letters replay --workspace acme --reason unknown_version --dry-run
      ingress dead-letters replay --workspace acme --reason unknown_version --rate 500
      ingress dead-letters discard --workspace acme --reason future --because "clock was wrong"
    """  # noqa: D301 — click reads the escape


@dead_letters.command(
    name="list",
    epilog="""\b
Examples:
  ingress dead-letters list --workspace acme
  ingress dead-letters list --by reason
  ingress dead-letters list --state all --since 2026-01-31T12:00:00Z --json
""",
)
@click.option("--workspace", help="Only letters of this workspace; without it, of all.")
@_filtered
@click.option(
    "--state",
    type=click.Choice([*(state.value for state in State), "all"]),
    default=State.WAITING.value,
    show_default=True,
    help="Only letters that wait, were replayed, or were discarded.",
)
@click.option(
    "--by",
    type=click.Choice([each.value for each in Grouping]),
    help="Count letters by this instead of listing them.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, _MOST_LISTED),
    default=50,
    show_default=True,
    help="Most letters.",
)
@click.option("--after", callback=_cursor, help="Go on after a list; it says with what.")
@_as_json
def list_(  # noqa: PLR0913 — a list has this many options
    *,
    workspace: str | None,
    state: str,
    by: str | None,
    limit: int,
    after: LetterCursor,
    as_json: bool,
    **found: Any,
) -> None:
    """List dead letters, oldest first, and count them by reason."""
    filters = replace(_filters(found), state=None if state == "all" else State(state))
    grouping = Grouping(by or Grouping.REASON)

    async def read(pool: asyncpg.Pool) -> None:
        letters = DeadLetters(pool)
        counts = await letters.counts(workspace, filters, grouping)
        plain: dict[str, Any] = {
            "by": grouping.value, "counts": [each.model_dump(mode="json") for each in counts],
        }  # fmt: skip
        lines = texts.of_counts(grouping, counts)
        if by is None:
            page = await letters.page(workspace, filters, after=after, limit=limit)
            plain |= page.model_dump(mode="json")
            lines = [*texts.of_page(page), *lines] if counts else []
        if as_json:
            click.echo(json.dumps(plain))
            return
        for line in lines:
            click.echo(line)
        if not counts:
            click.echo("no dead letters of this kind", err=True)

    _with_pool(read)


@dead_letters.command(
    epilog="""\b
Examples:
  ingress dead-letters show acme edge-1/01943f10-8f7a-7c3e-9d52-5f0c2b1a7e44/41
  ingress dead-letters show acme telematics.ingress/0/1234 --json | jq .data
"""
)
@click.argument("workspace")
@click.argument("origin")
@_as_json
def show(workspace: str, origin: str, as_json: bool) -> None:
    """Show the message of ORIGIN whole: its letters, attributes, data, and the replays it saw."""

    async def read(pool: asyncpg.Pool) -> None:
        message = await DeadLetters(pool).message(workspace, origin)
        if as_json:
            click.echo(message.model_dump_json())
        else:
            click.echo("\n".join(texts.of_message(message)))

    _with_pool(read)


@dead_letters.command(
    name="replay",
    epilog="""\b
Examples:
  ingress dead-letters replay --workspace acme --reason unknown_version --dry-run
  ingress dead-letters replay --workspace acme --reason unknown_version
  ingress dead-letters replay --workspace acme --all --rate 500 --json
""",
)
@_workspace
@_filtered
@_all
@click.option("--rate", type=click.FloatRange(0.1, 1e6), help="At most so many messages a second.")
@click.option("--limit", type=click.IntRange(1), help="At most so many messages.")
@click.option(
    "--batch",
    type=click.IntRange(1, _MOST_AT_ONCE),
    default=200,
    show_default=True,
    help="Messages in one transaction.",
)
@click.option("--dry-run", is_flag=True, help="Say what would become of them; change nothing.")
@click.option("--restart", is_flag=True, help="Begin anew, also where a replay was interrupted.")
@_as_json
def replay_(  # noqa: PLR0913 — a replay has this many options
    *,
    workspace: str,
    everything: bool,
    rate: float | None,
    limit: int | None,
    batch: int,
    dry_run: bool,
    restart: bool,
    as_json: bool,
    **found: Any,
) -> None:
    """Hand waiting dead letters to the handler again, in order for each vehicle.

    All letters of a message are one replay. What is dead-lettered again waits on, with the new
    reason. A replay that was interrupted (Ctrl-C, or killed) goes on where it was when the same
    command is given again. Exit code 130 if it was interrupted.
    """
    plan = Plan(_chosen(found, everything=everything), limit, batch, rate)

    async def work(pool: asyncpg.Pool) -> None:
        async with (
            desk(pool, workspace, step=_pass_fault_point) as open_desk,
            on_signals() as stop,
        ):
            run, remaining = await start(open_desk, plan, anew=restart)
            if run.handled:
                click.echo(texts.of_resumed(run), err=True)
            most = remaining.messages if limit is None else min(limit, remaining.messages)
            if dry_run:
                tally = await rehearse(open_desk, plan, run)
                plain = {"dry_run": True, "of": most, **tally.model_dump()}
                shown = [*texts.of_tally(tally, dry_run=True), *texts.of_rest(most, tally)]
                click.echo(json.dumps(plain) if as_json else "\n".join(shown))
                return
            with texts.progress(most) as told:
                report = await replay(
                    open_desk,
                    plan,
                    run,
                    clock=time.monotonic,
                    rest=lambda seconds: _rest(stop, seconds),
                    stopped=lambda: stop.requested,
                    told=told,
                )
        plain = {
            "dry_run": False,
            "complete": report.complete,
            **report.tally.model_dump(),
            "still_waiting": report.left.letters,
        }
        shown = [*texts.of_tally(report.tally, dry_run=False), texts.of_left(report.left)]
        click.echo(json.dumps(plain) if as_json else "\n".join(shown))
        if not report.complete:
            raise _Interrupted("interrupted; the same command goes on where it stopped")

    _with_pool(work)


@dead_letters.command(
    epilog="""\b
Examples:
  ingress dead-letters discard --workspace acme --reason future --because "clock was wrong"
  ingress dead-letters discard --workspace acme --origin telematics.ingress/0/1234 --because test
"""
)
@_workspace
@_filtered
@_all
@click.option("--because", required=True, help="Why; it is kept with the letters.")
@_as_json
def discard(*, workspace: str, everything: bool, because: str, as_json: bool, **found: Any) -> None:
    """Give waiting dead letters up: all letters of each message. They are marked, never deleted."""
    filters = _chosen(found, everything=everything)
    if not because.strip():
        raise click.UsageError("--because is empty: say why, for whoever asks later.")

    async def work(pool: asyncpg.Pool) -> None:
        async with desk(pool, workspace) as open_desk:
            gone = await open_desk.discard(filters, because)
        plain = {"messages": gone.messages, "letters": gone.letters}
        click.echo(json.dumps(plain) if as_json else texts.of_discarded(gone))

    _with_pool(work)


def _chosen(found: dict[str, Any], *, everything: bool) -> Filters:
    filters = _filters(found)
    if filters.narrow == everything:
        raise click.UsageError(
            "Choose letters by filters such as --reason, or all that wait by --all; not both. "
            "`ingress dead-letters list --by reason` shows what there is."
        )
    return filters


async def _rest(stop: Shutdown, seconds: float) -> None:
    if seconds:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


async def _pass_fault_point(step: str) -> None:
    """Go on between the steps of a transaction, unless a trial has this process end there."""
    point = faults.TRANSACTION_STEPS.get(step)
    if point is not None:
        faults.passed(point)


def _with_pool(work: Callable[[asyncpg.Pool], Awaitable[T]]) -> T:
    """Run `work` on a migrated database; what core says of it becomes the command's last word."""
    database_settings, log_settings, fault_settings = load(
        DatabaseSettings, LogSettings, FaultSettings
    )
    logs.configure(log_settings)
    faults.arm(fault_settings)

    async def run() -> T:
        pool = await database.connect(
            database_settings.url.get_secret_value(),
            max_size=1,
            statement_timeout=database_settings.statement_timeout_seconds,
        )
        try:
            async with pool.acquire() as connection:
                await migrate.require(connection)
            return await work(pool)
        finally:
            await database.close(pool)

    try:
        return asyncio.run(run())
    except NoSuchWorkspace as error:
        raise click.ClickException(
            f"there is no workspace {error.args[0]!r}; `ingress dead-letters list` shows the "
            "workspaces that have letters"
        ) from None
    except NoSuchLetter as error:
        raise click.ClickException(
            f"there is no dead letter of {error.args[0]!r}; `ingress dead-letters list --state all`"
            " shows all origins"
        ) from None
    except ReplayRunning as error:
        raise click.ClickException(
            f"somebody else replays or discards letters of {error.args[0]!r} just now; try again "
            "once that has ended"
        ) from None
    except IngestError as error:
        raise click.ClickException(str(error)) from None
