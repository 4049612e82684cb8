"""The HTTP door: the API as its own process, beside the bare COPY and the handler alone."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import click
import httpx

from core_api.key_store import KeyStore
from core_api.keys import Role
from core_ingest.handler import IngestHandler
from ingress_contracts import http
from ingress_testbed.bench.contenders import BARE_COPY, bare_copy, in_process, parts
from ingress_testbed.bench.measure import Contender, Stopwatch, interleaved, storing
from ingress_testbed.bench.memory import Watch
from ingress_testbed.bench.tables import show
from ingress_testbed.bench.workloads import PUBLISHER, WORKSPACE, Workload
from ingress_testbed.demo.processes import Processes
from ingress_testbed.demo.programs import start_api

REQUEST = 500
_SENDERS = 12
_HANDLER = "handler"
_DOOR = "HTTP door"
_MIB = 1024 * 1024


async def bench(
    pool: asyncpg.Pool, url: str, directory: Path, workloads: Sequence[Workload], rounds: int
) -> None:
    """Measure the door on each workload and print what was found."""
    key = (await KeyStore(pool).create(Role.INGEST, WORKSPACE, PUBLISHER)).text
    async with pool.acquire() as connection, _api(url, directory, key) as (api, client, watch):
        for workload in workloads:
            contenders = {
                BARE_COPY: bare_copy(connection),
                _HANDLER: in_process(IngestHandler(pool)),
                _DOOR: watched(watch, http_door(client, request_bodies(workload))),
            }
            trials = {
                name: storing(connection, each, workload) for name, each in contenders.items()
            }
            # A round that does not count makes assets, signals and partitions beforehand, and lets
            # every process see each statement once.
            warm = {name: trials[name] for name in (_HANDLER, _DOOR)}
            await api.guard(interleaved(f"{workload.name}, to warm up", warm, 1))
            watch.samples.clear()
            found = await api.guard(interleaved(workload.name, trials, rounds))
            show(f"{workload.name}: {len(workload.rows):,} readings", found, [BARE_COPY])
            _report_memory(watch)


def http_door(client: httpx.AsyncClient, bodies: list[bytes]) -> Contender:
    """Post batches of 500, several requests at once, as publishers do: gzipped."""

    async def run(workload: Workload) -> float:
        waiting = iter(bodies)
        clock = Stopwatch()
        await asyncio.gather(*(_send(client, waiting) for _ in range(_SENDERS)))
        return len(workload.envelopes) / clock.seconds

    return run


def request_bodies(workload: Workload) -> list[bytes]:
    """Return the workload as gzipped request bodies of 500 envelopes."""
    batches = parts(workload.envelopes, REQUEST)
    return [gzip.compress(http.encode_batch(batch), compresslevel=1) for batch in batches]


def watched(watch: Watch, contender: Contender) -> Contender:
    """Watch the memory while a contender runs."""

    async def run(workload: Workload) -> float:
        watch.on = True
        try:
            return await contender(workload)
        finally:
            watch.on = False

    return run


@asynccontextmanager
async def _api(
    url: str, directory: Path, key: str
) -> AsyncIterator[tuple[Processes, httpx.AsyncClient, Watch]]:
    """Run the API as its own process, as it runs anywhere else."""
    async with Processes(directory) as processes:
        process, port = await start_api(processes, "api", directory, {"INGRESS_DATABASE_URL": url})
        watch = Watch(process.pid)
        watching = asyncio.create_task(watch.run())
        base, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {key}"}
        try:
            async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
                yield processes, client, watch
        finally:
            watching.cancel()
            await asyncio.wait([watching])


async def _send(client: httpx.AsyncClient, bodies: Iterator[bytes]) -> None:
    headers = {"content-type": http.BATCH, "content-encoding": "gzip"}
    for body in bodies:
        answer = await client.post("/v1/provider-ingest", content=body, headers=headers)
        answer.raise_for_status()


def _report_memory(watch: Watch) -> None:
    thirds = watch.thirds()
    click.echo(
        f"API memory under this load: middle third {thirds.middle / _MIB:.1f} MiB, last third "
        f"{thirds.last / _MIB:.1f} MiB ({thirds.last / thirds.middle:.3f} of it), "
        f"peak {thirds.peak / _MIB:.1f} MiB"
    )
