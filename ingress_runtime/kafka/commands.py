"""The `ingress topics` commands."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import click

from ingress_runtime import logs
from ingress_runtime.findings import Finding, report
from ingress_runtime.kafka import examination, topics
from ingress_runtime.kafka.connection import connected
from ingress_runtime.kafka.errors import KafkaTrouble
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.kafka.topics import FOREVER, Topic, Wish
from ingress_runtime.settings import LogSettings, load

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36_500)


def _duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    """Read `90m`, `36h`, `7d`, or `forever`."""
    if value is None or value == "forever":
        return FOREVER if value else None
    match = re.fullmatch(r"([1-9]\d{0,8})([mhd])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} must read like 90m, 36h, 7d or forever")
    found = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if found > _LONGEST:
        raise click.BadParameter(f"{value!r} is more than a century: say forever")
    return found


_seconds = click.option(
    "--seconds",
    type=click.FloatRange(0, 3_600, min_open=True),
    default=20.0,
    show_default=True,
    help="How long to wait for the brokers.",
)


@click.group(name="topics")
def commands() -> None:
    """Make and check the topic in which envelopes travel to core.

    Brokers and topic are those of the settings: INGRESS_KAFKA_BOOTSTRAP, INGRESS_KAFKA_TOPIC.

    \b
    Examples:
      export INGRESS_KAFKA_BOOTSTRAP=kafka-1:9092,kafka-2:9092
      ingress topics create --partitions 12 --retention 7d
      ingress topics check
    """  # noqa: D301 — click reads the escape


@commands.command(
    epilog="""\b
Examples:
  ingress topics create
  ingress topics create --partitions 24 --retention 14d --replication 3
  INGRESS_KAFKA_TOPIC=telematics.trial ingress topics create --retention 2h
"""
)
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    help=f"How many consumers can share the work at most; {topics.PARTITIONS} by default.",
)
@click.option(
    "--retention",
    callback=_duration,
    metavar="DURATION",
    help="How long records are kept: 36h, 7d (the default), forever. Core must read them by then.",
)
@click.option(
    "--replication",
    type=click.IntRange(1, 100),
    help="How many brokers hold each record; three, or as many as there are, by default.",
)
@_seconds
def create(
    partitions: int | None, retention: timedelta | None, replication: int | None, seconds: float
) -> None:
    """Make the topic, unless it is there; give it the partitions that it lacks.

    Safe to repeat. Where the topic differs from an option that you gave in something else, it is
    left as it is, and the exit code is 1. Adding partitions moves vehicles to others: from then on their messages may be read
    out of order for a while, which core sorts out.
    """
    log_settings, settings = load(LogSettings, KafkaSettings)
    logs.configure(log_settings)
    wish = Wish(settings.topic, partitions, retention, replication)
    try:
        topic, differences = asyncio.run(_create(settings, wish, seconds))
    except KafkaTrouble as trouble:
        raise click.ClickException(str(trouble)) from trouble
    click.echo(
        f"topic {topic.name}: {topics.number(topic.partitions, 'partition')}, "
        f"{topics.number(topic.replicas, 'replica')} each"
    )
    if differences:
        raise click.ClickException("it was there already, and differs: " + "; ".join(differences))


@commands.command(
    epilog="""\b
Examples:
  ingress topics check
  ingress topics check --json
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@_seconds
def check(as_json: bool, seconds: float) -> None:
    """Reach the brokers, and judge the topic: partitions, replicas, retention, limits.

    Changes nothing. Each finding that is not `ok` says what to do; the exit code is 0 only if all
    is well.
    """
    log_settings, settings = load(LogSettings, KafkaSettings)
    logs.configure(log_settings)
    if not asyncio.run(report(_findings(settings, seconds), as_json=as_json)):
        raise SystemExit(1)


async def _findings(settings: KafkaSettings, seconds: float) -> AsyncIterator[Finding]:
    for finding in await examination.examine(settings, seconds):
        yield finding


async def _create(settings: KafkaSettings, wish: Wish, seconds: float) -> tuple[Topic, list[str]]:
    async with connected(settings, seconds) as client:
        topic = await topics.create(client, wish)
    return topic, list(topics.differences(topic, wish))
