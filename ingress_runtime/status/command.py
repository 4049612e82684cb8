"""`ingress status`."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import click

from ingress_runtime import redact
from ingress_runtime.status.accounts import Accounts
from ingress_runtime.status.lookout import DEFAULT_TARGETS, Lookout, contributors
from ingress_runtime.status.rendering import Status, document, fitted, lines
from ingress_runtime.status.scraping import Target, checked

_FALLBACK = (100, 24)
"""Columns and lines where the output is no terminal."""

_INTERVALS = 5
"""A watched window is so many intervals long: one alone would flicker."""

_HOME, _CLEAR, _TO_THE_END, _BELOW = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"


def _address(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    try:
        return None if text is None else checked(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _addresses(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(_address(_context, _option, text) or "" for text in dict.fromkeys(texts))


@click.command(
    epilog="""\b
Examples:
  ingress status
  ingress status --watch
  ingress status --scrape http://edge-1:9464 --scrape http://core:8080 --scrape http://core:9465
  ingress status --url https://ingress.example.com --api-key-env READ_KEY --workspace acme
  ingress status --json | jq .verdict
\b
Exit code: 0 where at least one process answered, whatever it said; 1 where none did.
"""
)
@click.option(
    "--scrape",
    "scraped",
    multiple=True,
    callback=_addresses,
    metavar="URL",
    help="A process to ask, at /metrics unless a path is given; repeat it for others. By default "
    "those of this machine: publisher 9464, api 8080, consumer 9465.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0, 3_600),
    default=2.0,
    show_default=True,
    help="Seconds between two looks. 0: look once, and show what happened since the start.",
)
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a look, for scripts.")
@click.option(
    "--url",
    envvar="INGRESS_API_URL",
    callback=_address,
    metavar="URL",
    help="Core's API, to scrape by default and to ask for the accounting of workspaces; "
    "INGRESS_API_URL, if it is left out.",
)
@click.option(
    "--workspace", "workspaces", multiple=True, help="Show its accounting; repeat it for others."
)
@click.option("--api-key-env", metavar="NAME", help="The variable that holds a read or admin key.")
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The file that holds a read or admin key.",
)
@click.pass_context
def status(  # noqa: PLR0913 — one parameter an option
    context: click.Context,
    *,
    scraped: tuple[str, ...],
    interval: float,
    watch: bool,
    as_json: bool,
    url: str | None,
    workspaces: tuple[str, ...],
    api_key_env: str | None,
    api_key_file: Path | None,
) -> None:
    """Say where messages wait, and why.

    Asks the processes for their metrics twice, --interval apart, and shows throughput, lag by hop,
    streams, journals, the way to core, the consumer, backpressure, dead letters, accounting and the
    database, with a verdict in words at the end. What no process tells reads `-`. With --watch the
    first look shows what happened since the processes started, the later ones the last five
    intervals.
    """
    if watch and not interval:
        raise click.UsageError("--watch needs an --interval above 0.")
    lookout = Lookout(
        _targets(scraped, url),
        contributors(),
        wall=time.time,
        window_seconds=interval * (_INTERVALS if watch else 1),
        accounts=_accounts(url, workspaces, api_key_env, api_key_file),
    )
    show = _shower(watch=watch, as_json=as_json, environ=os.environ)
    try:
        found = lookout.look()
        if interval and not watch:
            time.sleep(interval)
            found = lookout.look()
        show(found)
        while watch:
            time.sleep(max(0.0, found.now + interval - time.time()))
            found = lookout.look()
            show(found)
    except KeyboardInterrupt:
        return
    if all(one.error is not None for one in found.answers):
        context.exit(1)


def _targets(scraped: tuple[str, ...], url: str | None) -> tuple[Target, ...]:
    if scraped:
        return tuple(Target(each if urlsplit(each).path else f"{each}/metrics") for each in scraped)
    if url is None:
        return DEFAULT_TARGETS
    api = Target(f"{url}/metrics", "api")
    return tuple(api if one.name == "api" else one for one in DEFAULT_TARGETS)


def _accounts(
    url: str | None, workspaces: tuple[str, ...], variable: str | None, file: Path | None
) -> Accounts | None:
    if not workspaces:
        if variable or file:
            raise click.UsageError("say whose accounting to show: --workspace NAME")
        return None
    if url is None:
        raise click.UsageError("the accounting is core's: --url URL, or set INGRESS_API_URL")
    if (variable is None) == (file is None):
        raise click.UsageError(
            "say where a read or admin key is: --api-key-env NAME or --api-key-file FILE. Make one "
            f"where core is: ingress keys create --role read --workspace {workspaces[0]}"
        )
    return Accounts(url, _key(variable, file, os.environ), tuple(dict.fromkeys(workspaces)))


def _key(variable: str | None, file: Path | None, environ: Mapping[str, str]) -> str:
    """Return what the variable or the file holds, and hide it from now on."""
    text = (
        environ.get(variable or "", "")
        if file is None
        else file.read_text(encoding="utf-8", errors="replace")
    )
    key = text.strip()
    if not key or not (key.isascii() and key.isprintable()):
        where = f"the variable {variable}" if file is None else str(file)
        raise click.UsageError(f"{where} holds no key: one line of text")
    redact.remember(key)
    return key


def _shower(*, watch: bool, as_json: bool, environ: Mapping[str, str]) -> Callable[[Status], None]:
    """Return what shows one status: JSON, a picture drawn over the one before, or a block."""
    if as_json:
        return lambda found: click.echo(json.dumps(document(found), ensure_ascii=False))
    terminal = sys.stdout.isatty()
    colour = terminal and not environ.get("NO_COLOR")
    drawn = False

    def block(found: Status) -> None:
        nonlocal drawn
        width = shutil.get_terminal_size(_FALLBACK).columns
        separator = [""] if drawn else []
        click.echo("\n".join([*separator, *lines(found, width, colour=colour)]), color=colour)
        drawn = True

    def redraw(found: Status) -> None:
        nonlocal drawn
        size = shutil.get_terminal_size(_FALLBACK)
        text = fitted(lines(found, size.columns, colour=colour), size.lines - 1)
        start = _HOME if drawn else f"{_CLEAR}{_HOME}"
        body = "".join(f"{line}{_TO_THE_END}\n" for line in text)
        click.echo(f"{start}{body}{_BELOW}", nl=False, color=True)
        drawn = True

    return redraw if watch and terminal else block
