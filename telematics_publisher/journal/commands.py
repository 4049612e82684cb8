"""The `ingress journal` commands."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import SecretStr, TypeAdapter, ValidationError

from ingress_runtime import logs, tracing
from ingress_runtime.settings import LogSettings, load
from ingress_runtime.tracing import TracingSettings
from telematics_publisher.errors import JournalDamaged, JournalError, JournalInUse
from telematics_publisher.journal import report
from telematics_publisher.journal.drain import Drained, drain
from telematics_publisher.journal.file import is_journal
from telematics_publisher.journal.report import Report
from telematics_publisher.settings import of_api
from telematics_publisher.streams import Reference
from telematics_publisher.transports.http import HttpTransport
from telematics_publisher.words import counted, short

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar  # click gives its bar no public name

_AT_NEXT_START = (
    "The next start of its publisher sets the file aside and goes on with what can be saved."
)
_DEADLINE_SECONDS = 30.0
_UNITS = ("bytes", "KiB", "MiB", "GiB")
_KIBI = 1_024
_MOST_RANGES = 5


class _Trouble(click.ClickException):
    """The journal could not be looked at."""

    exit_code = 2


_path = click.argument("path", type=click.Path(path_type=Path, dir_okay=False))


@contextmanager
def _told(path: Path, in_use: str) -> Iterator[None]:
    """Say what is the trouble with the journal at `path`, and what to do while it is in use."""
    try:
        if path.is_file() and not is_journal(path):
            raise _Trouble(f"{path} is no journal. Name one, such as journals/acme.journal.")
        yield
    except JournalInUse as error:
        raise _Trouble(
            f"{path} is open in another process. A publisher has it open: {in_use}."
        ) from error
    except JournalDamaged as error:
        raise _Trouble(f"{path} is damaged: {error}. {_AT_NEXT_START}") from error
    except JournalError as error:
        raise _Trouble(str(error)) from error
    except OSError as error:
        raise _Trouble(f"{path} cannot be read: {error.strerror or error}.") from error


def _address(_context: click.Context, _option: click.Parameter, url: str | None) -> str:
    if url is None:
        raise click.UsageError(
            "there is no address of core: give --api-url, or set INGRESS_API_URL"
        )
    try:
        return of_api(url)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group()
def journal() -> None:
    """Look into a publisher's journal, check it, or send what is left in it.

    For files that no publisher has open: a running one tells the same by its metrics
    (publisher_journal_*).

    \b
    Examples:
      ingress journal inspect journals/acme.journal
      ingress journal verify journals/acme.journal
      ingress journal drain journals/acme.journal --api-key-env ACME_INGEST_KEY
    """  # noqa: D301 — click reads the escape


@journal.command(
    epilog="""\b
Examples:
  ingress journal inspect journals/acme.journal
  ingress journal inspect --json journals/acme.journal | jq .epochs
"""
)
@_path
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def inspect(path: Path, as_json: bool) -> None:
    """Show what the journal at PATH holds: epochs, numbers, ages, bytes, what was never sent.

    Changes nothing. Exit code 2 if the journal cannot be read.
    """
    with _told(path, "its metrics publisher_journal_* tell the same. Or stop it first"):
        found = report.inspect(path, time.time_ns() // 1_000)
    click.echo(json.dumps(_plain(found), indent=2) if as_json else _text(found))


@journal.command(
    epilog="""\b
Examples:
  ingress journal verify journals/acme.journal
  ingress journal verify journals/acme.journal || echo damaged
"""
)
@_path
def verify(path: Path) -> None:
    """Check the journal at PATH: its structure, its log, and that its numbers add up.

    Changes nothing. Exit code 0: sound. 1: damaged. 2: it could not be checked.
    """
    with _told(path, "stop it first"):
        found = report.verify(path)
    if not found:
        click.echo(f"{path} is sound.")
        return
    raise click.ClickException("\n".join((f"{path} is damaged:", *found, _AT_NEXT_START)))


@journal.command(
    name="drain",
    epilog="""\b
Examples:
  export INGRESS_API_URL=https://ingress.example.com ACME_INGEST_KEY=...
  ingress journal drain journals/acme.journal --api-key-env ACME_INGEST_KEY
  ingress journal drain old-disk/acme.journal --api-key-file /run/secrets/acme --seconds 600
""",
)
@_path
@click.option(
    "--api-url",
    envvar="INGRESS_API_URL",
    callback=_address,
    help="Base URL of core's API; INGRESS_API_URL by default.",
)
@click.option("--api-key-env", metavar="NAME", help="The variable that holds the ingest key.")
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that holds the ingest key.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="Give up after so long; without it, wait for core for ever.",
)
def drain_command(
    path: Path,
    api_url: str,
    api_key_env: str | None,
    api_key_file: Path | None,
    seconds: float | None,
) -> None:
    """Send what is left in the journal at PATH, then tell core that its epochs are over.

    For the journal of a machine that is retired, and for one that was thought lost. Records keep
    their workspace, publisher, epoch and number, so the key must be that publisher's. What core has
    already counts once. Interrupted, it goes on where it was when started again.

    Exit code 0: nothing is left. 1: something is, and why. 2: the journal cannot be opened.
    """
    log_settings, traced = load(LogSettings, TracingSettings)
    logs.configure(log_settings)
    key = _key(api_key_env, api_key_file)
    try:
        with (
            tracing.started(traced, "ingress-publisher"),
            _told(path, "it sends what is in it; or stop it first"),
        ):
            owner = report.owner(path)
            drained = asyncio.run(_drain(path, owner, api_url, key, seconds))
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted; {path} keeps what core does not have") from None
    click.echo(f"{drained.settled:,} settled, {drained.left:,} left in {path}.")
    if drained.reason is not None:
        raise click.ClickException(drained.reason)


def _key(variable: str | None, file: Path | None) -> SecretStr:
    """Return the ingest key from where the options say that it is."""
    try:
        return Reference(env=variable, file=file).resolve(os.environ, Path())
    except ValidationError as error:
        raise click.UsageError("give --api-key-env or --api-key-file, one of both") from error
    except ValueError as error:
        raise click.UsageError(f"the ingest key: {error}") from error


async def _drain(
    path: Path, owner: tuple[str, str], api_url: str, key: SecretStr, seconds: float | None
) -> Drained:
    transport = HttpTransport(api_url, key, deadline=_DEADLINE_SECONDS)
    progress = _Progress(owner)
    try:
        return await drain(path, owner, transport, seconds=seconds, progress=progress.tell)
    finally:
        progress.close()
        await transport.aclose()


class _Progress:
    """A line on stderr, and on a terminal a bar, from the first number that is told down to none."""

    def __init__(self, owner: tuple[str, str]) -> None:
        self._owner = owner
        self._begun = False
        self._bar: ProgressBar[int] | None = None

    def tell(self, left: int) -> None:
        if not self._begun:
            self._begun = True
            workspace, publisher = self._owner
            are = "is" if left == 1 else "are"
            click.echo(
                f"{counted(left, 'number')} of {publisher} in {workspace} {are} pending.", err=True
            )
            if not sys.stderr.isatty():
                return
            self._bar = click.progressbar(length=left, label="settled", file=sys.stderr)
        if self._bar is None:
            return
        done = (self._bar.length or 0) - left
        self._bar.update(max(0, done - self._bar.pos))  # reports add to what is left
        self._bar.render_progress()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()


def _plain(found: Report) -> dict[str, Any]:
    """Return a report as JSON has it, with what its ranges come to."""
    plain: dict[str, Any] = TypeAdapter(Report).dump_python(found, mode="json")
    return plain | {"pending": found.pending, "dropped": found.dropped}


def _text(found: Report) -> str:
    lines = [
        f"{found.journal}: publisher {found.publisher} of workspace {found.workspace}",
        f"  file            {_size(found.file_bytes)}, format {found.format}",
        f"  records         {found.records:,}, {_size(found.data_bytes)} of data",
        f"  never sent      {counted(found.never_attempted, 'record')}",
        f"  numbers         up to {found.head:,}, attempted up to {found.attempted_through:,}",
        f"  pending         {counted(found.pending, 'number')} that core has not settled",
        f"  dropped         {counted(found.dropped, 'number')} that core has not heard of",
    ]
    if found.oldest is not None and found.newest is not None:
        age = timedelta(seconds=round(found.oldest_age_seconds or 0))
        span = f"{short(found.oldest)} to {short(found.newest)}"
        lines.append(f"  received        {span}; the oldest {age} ago")
    for lane in found.lanes:
        size = _size(lane.data_bytes)
        lines.append(f"  {lane.source}  {lane.type}: {counted(lane.records, 'record')}, {size}")
    for each in found.epochs:
        state = "closed" if each.closed else "open"
        lines.append(f"  epoch {each.epoch}  {each.first:,} to {each.head:,}, {state}")
        lines += [f"    pending       {_ranges(each.pending)}"] * bool(each.pending)
        lines += [f"    dropped       {_ranges(each.dropped)}"] * bool(each.dropped)
    for sequence, body in found.undeliverable:
        lines.append(
            f"  undeliverable   {body.sequence:,} ({body.reason}, {_size(body.size)}), "
            f"reported by {sequence:,}"
        )
    return "\n".join(lines)


def _ranges(ranges: tuple[tuple[int, int], ...]) -> str:
    shown = [f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in ranges]
    more = len(shown) - _MOST_RANGES
    return ", ".join(shown[:_MOST_RANGES]) + (
        f", and {counted(more, 'more range')}" if more > 0 else ""
    )


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < _KIBI:
            return f"{count:,.0f} {unit}"
        count /= _KIBI
    return f"{count:,.1f} {_UNITS[-1]}"
