"""`ingress shadow`."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import click
from pydantic import TypeAdapter, ValidationError

from core_api.duration import duration
from core_api.parameters import Instant
from core_api.readiness import Readiness
from core_ingest.errors import IngestError
from core_ingest.ledger.parity import Verdict, together
from core_ingest.ledger.shadow_report import (
    LEAST,
    MOST_RANGES,
    Delays,
    Missing,
    PublisherShadow,
    ShadowReport,
    report,
)
from core_ingest.store import database
from core_ingest.store.database import DatabaseSettings
from ingress_runtime import logs
from ingress_runtime.settings import LogSettings, load

EXIT_CODES = {Verdict.SAFE: 0, Verdict.UNSAFE: 1, Verdict.UNDECIDED: 3}
"""What the command ends with; 2 is an error."""

_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_AN_HOUR = timedelta(hours=1)
_MOST_LISTED = 10_000


class _Failed(click.ClickException):
    """The report could not be made: no verdict."""

    exit_code = 2


def _instant(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> datetime | None:
    try:
        return None if value is None else _INSTANT.validate_python(value)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise click.BadParameter(f"{value!r}: {message}.") from None


def _duration(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> timedelta | None:
    try:
        length = None if value is None else duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if length == timedelta(0):
        raise click.BadParameter("0 is no window: 30m, 1h, 24h.")
    return length


@click.group(
    epilog="""\b
Examples:
  ingress shadow report
  ingress shadow report --workspace acme --last 24h
"""
)
def shadow() -> None:
    """Say whether it is safe to switch from HTTP to Kafka (INGRESS_TRANSPORT=shadow)."""


@shadow.command(
    name="report",
    epilog="""\b
Examples:
  ingress shadow report
  ingress shadow report --workspace acme --publisher edge-1 --last 24h
  ingress shadow report --since 2026-01-31T12:00:00Z --until 2026-01-31T18:00:00Z
  ingress shadow report --workspace acme --json && ./switch-over
\b
Exit code: 0 safe, 1 unsafe, 3 undecided, 2 where there is no report (an error).
""",
)
@click.option("--workspace", help="Only this workspace; otherwise all that send copies.")
@click.option("--publisher", help="Only this publisher.")
@click.option("--since", callback=_instant, help="Where the window begins, RFC 3339.")
@click.option("--until", callback=_instant, help="Where it ends, RFC 3339; now, if it is left out.")
@click.option(
    "--last", callback=_duration, help="The window up to now: 30m, 1h (the default), 24h."
)
@click.option(
    "--least",
    type=click.IntRange(1, 1_000_000_000),
    default=LEAST,
    show_default=True,
    help="Numbers that must have been judged of each publisher; with fewer it is undecided.",
)
@click.option(
    "--ranges",
    type=click.IntRange(0, _MOST_LISTED),
    default=MOST_RANGES,
    show_default=True,
    help="Ranges of missing numbers to list, of each kind.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def report_command(  # noqa: PLR0913, PLR0917 — one parameter an option
    context: click.Context,
    workspace: str | None,
    publisher: str | None,
    since: datetime | None,
    until: datetime | None,
    last: timedelta | None,
    least: int,
    ranges: int,
    as_json: bool,
) -> None:
    """Say which numbers came by HTTP, by Kafka or both, and whether it is safe to switch.

    Reads the database of INGRESS_DATABASE_URL. The window grows to whole slots of five minutes, and
    reaches back as far as CORE_API_SHADOW_HOURS. Only numbers are judged that were acknowledged
    before a checkpoint which has come by every partition: what is under way is not missing.
    """
    start, end = _window(since, until, last, datetime.now(UTC))
    database_settings, log_settings = load(DatabaseSettings, LogSettings)
    logs.configure(log_settings)

    async def run() -> list[ShadowReport]:
        pool = await database.connect(
            database_settings.url.get_secret_value(), min_size=1, max_size=1
        )
        try:
            await Readiness(pool).require_migrated()
            return await report(
                pool,
                workspace,
                publisher=publisher,
                since=start,
                until=end,
                least=least,
                most_ranges=ranges,
            )
        finally:
            await database.close(pool)

    try:
        found = asyncio.run(run())
    except IngestError as error:
        raise _Failed(str(error)) from None
    if workspace is not None and not found:
        raise _Failed(
            f"there is no workspace {workspace!r}; `ingress keys list` names those with keys"
        )
    verdict = together([each.verdict for each in found])
    if as_json:
        reports = [each.model_dump(mode="json") for each in found]
        click.echo(json.dumps({"verdict": verdict.value, "workspaces": reports}))
    else:
        click.echo("\n".join(_text(found, verdict)))
    context.exit(EXIT_CODES[verdict])


def _window(
    since: datetime | None, until: datetime | None, last: timedelta | None, now: datetime
) -> tuple[datetime, datetime]:
    if last is not None and (since is not None or until is not None):
        raise click.UsageError("Give --last, or --since and --until, not both.")
    if until is not None and since is None:
        raise click.UsageError("--until needs --since, where the window begins.")
    end = until or now
    start = since or end - (last or _AN_HOUR)
    if start >= end:
        raise click.UsageError(f"The window would end ({end:%Y-%m-%dT%H:%M:%SZ}) before it begins.")
    return start, end


def _text(found: list[ShadowReport], verdict: Verdict) -> Iterator[str]:
    for each in found:
        yield f"workspace {each.workspace}, {_at(each.since)} to {_at(each.until)}"
        yield from (f"  {reason}" for reason in each.reasons)
        for publisher in each.publishers:
            yield from _of_publisher(publisher)
        yield ""
    if not found:
        yield "no publisher has sent copies (INGRESS_TRANSPORT=shadow)"
    yield verdict.value


def _of_publisher(found: PublisherShadow) -> Iterator[str]:
    yield ""
    yield f"  publisher {found.publisher}: {found.verdict.value}"
    yield from (f"    {reason}" for reason in found.reasons)
    rows = [
        ("numbers judged", "both ways", "HTTP only", "Kafka only", "dead by Kafka", "under way"),
        tuple(
            f"{number:,}"
            for number in (
                found.judged,
                found.both,
                found.only_http.numbers,
                found.only_kafka.numbers,
                found.dead_by_kafka.numbers,
                found.under_way,
            )
        ),
    ]
    yield from _table(rows)
    head = ("delay to commit", "50 %", "90 %", "99 %", "messages")
    yield from _table([head, _delays("HTTP", found.http), _delays("Kafka", found.kafka)])
    since = "none" if found.barrier is None else _at(found.barrier)
    yield f"    newest checkpoint that came by every way: {since}"
    yield from _missing("HTTP only", found.only_http)
    yield from _missing("Kafka only", found.only_kafka)
    yield from _missing("dead by Kafka", found.dead_by_kafka)


def _delays(door: str, delays: Delays) -> tuple[str, ...]:
    total = sum(delays.counts)
    shown = (_bound(bound, delays, total) for bound in (delays.p50, delays.p90, delays.p99))
    return (door, *shown, f"{total:,}")


def _bound(bound: float | None, delays: Delays, total: int) -> str:
    if not total:
        return "-"
    return f"> {delays.bounds[-1]:g} s" if bound is None else f"<= {bound:g} s"


def _missing(title: str, missing: Missing) -> Iterator[str]:
    if not missing.numbers:
        return
    yield f"    {title}:"
    for each in missing.ranges:
        numbers = f"{each.first}" if each.first == each.last else f"{each.first}-{each.last}"
        yield f"      epoch {each.epoch}  {numbers}"
    if missing.more_ranges:
        yield f"      and {missing.more_ranges:,} more ranges (--ranges shows more)"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows with their columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "    " + "  ".join([row[0].ljust(widths[0]), *cells])


def _at(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
