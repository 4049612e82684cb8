"""From what was typed to a session: who is asked, who is told, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ingress_runtime import collector, logs, settings, shutdown
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.settings import LogSettings
from ingress_testbed.load import plot
from ingress_testbed.load.accounts import Accounts, by_api, by_database
from ingress_testbed.load.engine import Pace
from ingress_testbed.load.http_target import HttpTarget
from ingress_testbed.load.kafka_target import KafkaTarget
from ingress_testbed.load.options import Options
from ingress_testbed.load.report import Report
from ingress_testbed.load.saturation import Bounds
from ingress_testbed.load.session import Session
from ingress_testbed.load.target import Target
from ingress_testbed.load.view import Screen

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as shells have it."""

_DEFAULT_VEHICLES = (100,)


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach core: `target` with `key`, or `kafka`; and who may tell the accounting."""

    target: str | None
    key: str | None
    kafka: str | None
    accounting_url: str | None
    read_key: str | None
    database_url: str | None
    deadline: float


def options(  # noqa: PLR0913 — as many as were typed
    *,
    vehicles: tuple[int, ...] | None,
    ramp: tuple[int, ...] | None,
    batch: int,
    senders: int,
    queue: int,
    patience: float,
    max_p99: float,
    **rest: Any,
) -> Options:
    """Return the options of a command line. Raises UsageError where two contradict each other."""
    if vehicles is not None and ramp is not None:
        raise click.UsageError("--vehicles and --ramp both say how many vehicles: give one of them")
    return Options(
        vehicles=vehicles or ramp or _DEFAULT_VEHICLES,
        pace=Pace(batch, senders, queue, patience),
        bounds=Bounds(p99=max_p99),
        **rest,
    )


def run(way: Way, chosen: Options) -> int:
    """Run a load and return the exit code. Raises Hopeless and SettingsError."""
    logs.configure(LogSettings(level="error"))
    collector.spare_batches()
    screen = Screen(to_stderr=chosen.as_json)
    report = asyncio.run(_run(way, chosen, screen))
    screen.report(report)
    if chosen.plot is not None and any(one.tally.due for one in report.steps):
        _draw(chosen.plot, report)
    if chosen.as_json:
        click.echo(report.to_json())
    if report.interrupted:
        return INTERRUPTED
    return 0 if report.good else 1


def _draw(path: Path, report: Report) -> None:
    try:
        path.write_text(plot.svg(report), encoding="utf-8")
    except OSError as error:
        click.echo(f"{path} cannot be written: {error.strerror}", err=True)


async def _run(way: Way, chosen: Options, screen: Screen) -> Report:
    async with (
        shutdown.on_signals() as asked,
        _target(way, chosen) as (target, place),
        _accounts(way, chosen) as accounts,
    ):
        stop = asyncio.Event()
        listening = asyncio.create_task(_pass_on(asked, stop))
        try:
            return await Session(chosen, target, place, accounts, screen).run(stop)
        finally:
            listening.cancel()


async def _pass_on(asked: shutdown.Shutdown, stop: asyncio.Event) -> None:
    await asked.wait()
    stop.set()


@asynccontextmanager
async def _target(way: Way, chosen: Options) -> AsyncIterator[tuple[Target, str]]:
    target, place = _opened(way, chosen)
    try:
        yield target, place
    finally:
        await target.aclose()


def _opened(way: Way, chosen: Options) -> tuple[Target, str]:
    """Return the target, and what to call it."""
    if way.target is not None:
        sender = (chosen.workspace, chosen.publisher)
        door = HttpTarget(
            way.target,
            way.key or "",
            sender,
            deadline=way.deadline,
            connections=chosen.pace.senders,
        )
        return door, way.target
    (found,) = settings.load(KafkaSettings)
    kafka = found.model_copy(update={"bootstrap": way.kafka})
    return (
        KafkaTarget(kafka, chosen.workspace, deadline=way.deadline),
        f"topic {kafka.topic} of {kafka.servers}",
    )


@asynccontextmanager
async def _accounts(way: Way, chosen: Options) -> AsyncIterator[Accounts | None]:
    names = (chosen.workspace, chosen.publisher)
    async with AsyncExitStack() as stack:
        if way.database_url is not None:
            yield await stack.enter_async_context(by_database(way.database_url, *names))
        elif way.read_key is not None and way.accounting_url is not None:
            yield await stack.enter_async_context(by_api(way.accounting_url, way.read_key, *names))
        else:
            yield None
