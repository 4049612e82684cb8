"""`python -m ingress_testbed.bench`: what `make bench` runs."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import click

from core_ingest.store.database import connect
from core_ingest.store.migrate import migrate
from ingress_runtime import collector, logs
from ingress_runtime.settings import LogSettings
from ingress_testbed.bench import draining, http_door, metering
from ingress_testbed.bench.draining import Site
from ingress_testbed.bench.kafka_topics import Brokers
from ingress_testbed.bench.observation import Observation
from ingress_testbed.bench.publishing import Publishing
from ingress_testbed.bench.workloads import Workload, bus_day, fleet
from ingress_testbed.servers.errors import NoServerError
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka
from ingress_testbed.servers.postgres import running_postgres

_PARTS = ("http", "metrics", "publish", "drain")
_OF_KAFKA = frozenset({"publish", "drain"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `seconds` are what each first attempt gets."""

    workloads: Sequence[Workload]
    parts: frozenset[str]
    rounds: int
    seconds: float


@click.command(
    epilog="""\b
Examples:
  make bench
  make bench ARGS="--only http --rounds 3"
  make bench ARGS="--only publish --only drain --workload fleet"
  python -m ingress_testbed.bench --recordings path/to/recordings
"""
)
@click.option(
    "--only",
    "chosen",
    type=click.Choice(_PARTS),
    multiple=True,
    help="http: the HTTP door. metrics: what they cost the handler. publish: from a journal to Kafka. "
    "drain: from Kafka to the database. May be repeated; all of them by default.",
)
@click.option(
    "--workload",
    type=click.Choice(["bus-day", "fleet"]),
    help="One of both instead of both.",
)
@click.option("--rounds", default=5, show_default=True, help="Interleaved rounds; medians count.")
@click.option(
    "--seconds",
    default=5.0,
    show_default=True,
    help="Time for what works on a message at a time, each round.",
)
@click.option(
    "--recordings",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(os.environ.get("INGRESS_RECORDINGS", "../shared/data")),
    show_default=True,
    help="Where the recorded bus day is.",
)
def bench(
    chosen: Collection[str], workload: str | None, rounds: int, seconds: float, recordings: Path
) -> None:
    """Measure the doors on a bus day and on a fleet of 2,000 vehicles, as ratios.

    HTTP and handler stand beside a bare COPY; what goes through Kafka also beside a bare loop of
    its client, and beside what a user would write first. Tables go to stdout, progress to stderr.
    """
    logs.configure(LogSettings(level="error"))
    workloads = list(_workloads(workload, recordings))
    plan = Plan(workloads, frozenset(chosen or _PARTS), rounds, seconds)
    with (
        tempfile.TemporaryDirectory(prefix="ingress-bench-") as name,
        running_postgres(Path(name)) as server,
        _kafka(Path(name), wanted=bool(plan.parts & _OF_KAFKA)) as kafka,
    ):
        click.echo(f"{server.description}, {rounds} rounds", err=True)
        asyncio.run(_run(server.url, kafka, Path(name), plan))


def _workloads(chosen: str | None, recordings: Path) -> Iterator[Workload]:
    if chosen != "fleet":
        if (recordings / "viriciti-bus-day.jsonl.gz").is_file():
            yield bus_day(recordings)
        else:
            click.echo(f"no recorded bus day in {recordings}: it is not measured", err=True)
    if chosen != "bus-day":
        yield fleet()


@contextmanager
def _kafka(directory: Path, *, wanted: bool) -> Iterator[KafkaCluster | None]:
    """Give a broker, if one is wanted and to be had."""
    if not wanted:
        yield None
        return
    with ExitStack() as servers:
        try:
            cluster = servers.enter_context(running_kafka(directory))
        except NoServerError as error:
            click.echo(f"What goes through Kafka is not measured. {error.message}", err=True)
            yield None
        else:
            click.echo(cluster.description, err=True)
            yield cluster


async def _run(url: str, kafka: KafkaCluster | None, directory: Path, plan: Plan) -> None:
    await migrate(url)
    collector.spare_batches()  # as each of our processes does: the workloads are not to be walked
    pool = await connect(url)
    try:
        if "http" in plan.parts:
            await http_door.bench(pool, url, directory, plan.workloads, plan.rounds)
        if "metrics" in plan.parts:
            await metering.bench(url, plan.workloads, plan.rounds)
        if kafka is not None:
            brokers = Brokers(kafka.bootstrap, directory)
            await _through_kafka(Site(brokers, url, pool, directory, plan.seconds), plan)
    finally:
        await pool.close()


async def _through_kafka(site: Site, plan: Plan) -> None:
    if "publish" in plan.parts:
        publishing = Publishing(site.brokers, site.directory, plan.seconds)
        for workload in plan.workloads:
            await publishing.bench(workload, plan.rounds)
    if "drain" in plan.parts:
        observer = await asyncpg.connect(site.url)
        try:
            for workload in plan.workloads:
                await draining.bench(site, workload, plan.rounds, Observation(observer))
        finally:
            await observer.close()


if __name__ == "__main__":
    sys.exit(bench())
