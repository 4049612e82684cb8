"""`python -m ingress_testbed.bench`: what `make bench` runs."""

import asyncio
import gc
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import asyncpg
import click
import httpx
from rich.console import Console
from rich.table import Table

from core_api.key_store import KeyStore
from core_api.keys import Role
from core_ingest.handler import IngestHandler
from core_ingest.store.database import connect
from core_ingest.store.migrate import migrate
from ingress_testbed.bench.contenders import (
    Contender,
    bare_copy,
    http_door,
    in_process,
    request_bodies,
)
from ingress_testbed.bench.measure import Measurement, measure
from ingress_testbed.bench.memory import Watch
from ingress_testbed.bench.workloads import PUBLISHER, WORKSPACE, Workload, bus_day, fleet
from ingress_testbed.demo.processes import Processes, environment, ingress
from ingress_testbed.servers.postgres import running_postgres

_BASELINE = "bare COPY"
_HANDLER = "handler"
_DOOR = "HTTP door"
_MIB = 1024 * 1024


@click.command(
    epilog="""\b
Examples:
  make bench
  python -m ingress_testbed.bench --rounds 3 --recordings path/to/recordings
"""
)
@click.option("--rounds", default=5, show_default=True, help="Interleaved rounds; medians count.")
@click.option(
    "--recordings",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(os.environ.get("INGRESS_RECORDINGS", "../shared/data")),
    show_default=True,
    help="Where the recorded bus day is.",
)
def bench(rounds: int, recordings: Path) -> None:
    """Measure COPY, handler and HTTP door on a bus day and on a fleet of 2,000 vehicles."""
    workloads = [fleet()]
    if (recordings / "viriciti-bus-day.jsonl.gz").is_file():
        workloads.insert(0, bus_day(recordings))
    else:
        click.echo(f"no recorded bus day in {recordings}: only the fleet is measured", err=True)
    with (
        tempfile.TemporaryDirectory(prefix="ingress-bench-") as directory,
        running_postgres(Path(directory)) as server,
    ):
        click.echo(f"{server.description}, {rounds} rounds", err=True)
        asyncio.run(_run(server.url, Path(directory), workloads, rounds))


async def _run(url: str, directory: Path, workloads: list[Workload], rounds: int) -> None:
    await migrate(url)
    bodies = {workload.name: request_bodies(workload) for workload in workloads}
    gc.freeze()  # the workloads are the benchmark's, not the handler's: spare it walking over them
    pool = await connect(url)
    key = (await KeyStore(pool).create(Role.INGEST, WORKSPACE, PUBLISHER)).text
    connection = await asyncpg.connect(url)
    contenders = {
        _BASELINE: bare_copy(connection),
        _HANDLER: in_process(IngestHandler(pool)),
    }
    try:
        async with _api(url, directory, key) as (processes, client, watch):
            contenders[_DOOR] = http_door(client, bodies)
            for workload in workloads:
                found = await processes.guard(
                    _rounds(contenders, workload, connection, watch, rounds)
                )
                Console().print(_table(workload, found))
            _report_memory(watch)
    finally:
        await connection.close()
        await pool.close()


@asynccontextmanager
async def _api(
    url: str, directory: Path, key: str
) -> AsyncIterator[tuple[Processes, httpx.AsyncClient, Watch]]:
    """Run the API as its own process, as it runs anywhere else."""
    port_file = directory / "api.port"
    variables = environment(INGRESS_DATABASE_URL=url, CORE_API_PORT="0")
    async with Processes(directory) as processes:
        process = await processes.start(
            "api", ingress("api", "--port-file", str(port_file)), variables
        )

        async def port() -> str | None:
            return port_file.read_text().strip() if port_file.exists() else None

        base = f"http://127.0.0.1:{await processes.ready(process, port)}"
        watch = Watch(process.pid)
        watching = asyncio.create_task(watch.run())
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
            yield processes, client, watch
        watching.cancel()


async def _rounds(
    contenders: Mapping[str, Contender],
    workload: Workload,
    connection: asyncpg.Connection,
    watch: Watch,
    rounds: int,
) -> dict[str, list[Measurement]]:
    """Measure each contender in turn, round after round.

    A round that does not count makes assets, signals and partitions beforehand, and lets every
    process see each statement once.
    """
    for name in (_HANDLER, _DOOR):
        await measure(connection, contenders[name], workload)
    found: dict[str, list[Measurement]] = {name: [] for name in contenders}
    for number in range(rounds):
        click.echo(f"{workload.name}: round {number + 1} of {rounds}", err=True)
        for name, contender in contenders.items():
            watch.on = name == _DOOR
            found[name].append(await measure(connection, contender, workload))
            watch.on = False
    return found


def _report_memory(watch: Watch) -> None:
    thirds = watch.thirds()
    click.echo(
        f"API memory under this load: middle third {thirds.middle / _MIB:.1f} MiB, last third "
        f"{thirds.last / _MIB:.1f} MiB ({thirds.last / thirds.middle:.3f} of it), "
        f"peak {thirds.peak / _MIB:.1f} MiB"
    )


def _table(workload: Workload, found: Mapping[str, list[Measurement]]) -> Table:
    table = Table(title=f"{workload.name}: {len(workload.rows):,} readings")
    for heading in ("", "rows/s", "of COPY", "(min to max)", "WAL bytes/row", "disk bytes/row"):
        table.add_column(heading, justify="left" if not heading else "right")
    baseline = [one.rows_per_second for one in found[_BASELINE]]
    for name, measurements in found.items():
        rates = [one.rows_per_second for one in measurements]
        ratios = [rate / base for rate, base in zip(rates, baseline, strict=True)]
        table.add_row(
            name,
            f"{median(rates):,.0f}",
            f"{median(ratios):.3f}",
            f"{min(ratios):.3f} to {max(ratios):.3f}",
            f"{median(one.wal_bytes_per_row for one in measurements):.0f}",
            f"{median(one.disk_bytes_per_row for one in measurements):.0f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(bench())
