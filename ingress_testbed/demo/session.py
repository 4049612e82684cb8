"""The demo as a command runs it: a place, a server, a run, and the end of all of it."""

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal, TypeAlias

import click

from core_ingest.errors import IngestError
from ingress_runtime import logs, shutdown
from ingress_runtime.settings import LogSettings
from ingress_testbed.demo import guide
from ingress_testbed.demo.outage import Kind
from ingress_testbed.demo.run import Plan, Verdict, running
from ingress_testbed.demo.screen import Screen
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import open_recording
from ingress_testbed.servers.errors import NoServerError
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka
from ingress_testbed.servers.postgres import OwnPostgres, PostgresServer, running_postgres

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as shells have it."""


_FLEET_VEHICLES = 20
_FLEET_SECONDS = 60
_FLEET_HOURS_AT_ONCE = 0.25
_LIVELY = 300  # vehicles times speed: some thousand frames a second
_FASTEST = 60


@dataclass(frozen=True, slots=True)
class Source:
    """What is replayed: a recording, or a fleet that is recorded for the occasion."""

    recording: Path | FleetPlan
    speed: float
    rebase: bool


Transport: TypeAlias = Literal["http", "kafka", "queue-first", "shadow"]


@dataclass(frozen=True, slots=True)
class Options:
    """What was typed. Without a transport it is queue-first, where a broker can be had."""

    transport: Transport | None
    outage: Kind
    source: Source
    seconds: float | None
    subscribers: int
    as_json: bool
    svg: Path | None
    scrape_file: Path | None = None


def source(
    replay: Path | None,
    vehicles: int | None,
    speed: float | None,
    seconds: float | None,
    *,
    rebased: bool,
) -> Source:
    """Return what to replay, with defaults where None was typed. Raises RecordingError.

    A fleet happens now, for a minute, sped up so that a few vehicles are as lively as many.
    """
    if replay is not None:
        return Source(open_recording(replay).path, speed or 1.0, rebased)
    vehicles = vehicles or _FLEET_VEHICLES
    speed = speed or min(max(_LIVELY / vehicles, 1), _FASTEST)
    hours = _FLEET_HOURS_AT_ONCE if speed == inf else (seconds or _FLEET_SECONDS) * speed / 3600
    return Source(FleetPlan(vehicles, hours), speed, rebase=True)


def run(options: Options) -> int:
    """Run the demo and return the exit code: 0 only where everything settled and matches."""
    logs.configure(LogSettings(level="warning"))
    try:
        with (
            _sigterm_interrupts(),
            tempfile.TemporaryDirectory(prefix="ingress-demo-") as name,
            _cluster(options, Path(name)) as cluster,
            running_postgres(Path(name)) as server,
        ):
            click.echo(f"database     {server.description}", err=options.as_json)
            servers = _Servers(server, cluster)
            plan = _plan(options, Path(name), cluster)
            session = _Session(plan, options, Path(name), servers)
            return asyncio.run(session.run())
    except IngestError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("interrupted; everything was stopped", err=True)
        return INTERRUPTED


@contextmanager
def _cluster(options: Options, directory: Path) -> Iterator[KafkaCluster | None]:
    """Give a Kafka where the transport asks for one. Raises NoServerError, naming all ways."""
    if options.transport == "http":
        yield None
        return
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(running_kafka(directory))
        except NoServerError as error:
            if options.transport is None:
                click.echo(f"over HTTP: {error.message}", err=True)
                yield None
                return
            raise NoServerError(
                f"{error.message}\nOr leave --transport kafka away: over HTTP none is needed."
            ) from error
        yield cluster


@dataclass(frozen=True, slots=True)
class _Servers:
    """What the system stands on."""

    postgres: PostgresServer
    kafka: KafkaCluster | None

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of those that are ours, by name."""
        found = {}
        if isinstance(self.postgres, OwnPostgres):
            found["postgres"] = self.postgres.pid
        if self.kafka is not None and self.kafka.brokers:
            found["kafka"] = self.kafka.brokers[0].pid
        return found


def _plan(options: Options, directory: Path, cluster: KafkaCluster | None) -> Plan:
    transport = options.transport or ("http" if cluster is None else "queue-first")
    source = options.source
    if isinstance(source.recording, FleetPlan):
        path = directory / "fleet.jsonl"
        record_fleet(source.recording, path)
    else:
        path = source.recording
    return Plan(
        open_recording(path),
        source.speed,
        source.rebase,
        options.seconds,
        options.subscribers,
        transport,
        options.outage if transport == "queue-first" else "none",
        options.scrape_file,
    )


class _Session:
    """A run between two signals: the one that may cut it short, and the one that ends its stay."""

    def __init__(self, plan: Plan, options: Options, directory: Path, servers: _Servers) -> None:
        self._plan = plan
        self._options = options
        self._directory = directory
        self._servers = servers
        self._screen = Screen(to_stderr=options.as_json)
        self._code: int | None = None

    async def run(self) -> int:
        """Return the exit code. Raises KeyboardInterrupt where a signal came before the report."""
        async with shutdown.on_signals() as stop:
            work = asyncio.create_task(self._work(stop))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not work.done() and self._code is None:
                work.cancel()
            await asyncio.wait([work])
            if work.cancelled():
                raise KeyboardInterrupt
            work.result()
        return 1 if self._code is None else self._code

    async def _work(self, stop: shutdown.Shutdown) -> None:
        screen, servers = self._screen, self._servers
        async with running(
            self._plan, self._directory, servers.postgres.url, screen, servers.kafka
        ) as run:
            verdict = await run.processes.guard(run.to_the_end(servers.pids))
            self._code = self._report(verdict)
            if self._stays:
                screen.say("\nEverything is still up. Ctrl-C ends it.")
                await run.processes.guard(stop.wait())

    @property
    def _stays(self) -> bool:
        return (
            self._screen.is_terminal and self._options.seconds is None and not self._options.as_json
        )

    def _report(self, verdict: Verdict) -> int:
        """Say how the run ended, and return the exit code for it."""
        screen = self._screen
        screen.say(guide.report_table(verdict.report), keep=True)
        screen.say(guide.conclusion(verdict.differences), keep=True)
        if self._options.svg is not None:
            screen.export_svg(self._options.svg)
        if self._options.as_json:
            click.echo(verdict.report.to_json())
        return 1 if verdict.differences else 0


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, as SIGINT does, so that contexts are left."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
