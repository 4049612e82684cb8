"""The three that are measured: a bare COPY, the handler in this process, the HTTP door."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import asyncpg
import httpx

from core_ingest.door import Door, Principal
from core_ingest.handler import IngestHandler
from ingress_contracts import http
from ingress_testbed.bench.workloads import HISTORY, Workload

T = TypeVar("T")

Contender: TypeAlias = Callable[[Workload], Awaitable[None]]

TRANSACTION = 5_000
REQUEST = 500
_SENDERS = 12


def bare_copy(connection: asyncpg.Connection) -> Contender:
    """COPY the same readings into the history, in transactions of 5,000 rows."""

    async def run(workload: Workload) -> None:
        for rows in _parts(workload.rows, TRANSACTION):
            await connection.copy_records_to_table("history", records=rows, columns=HISTORY)

    return run


def in_process(handler: IngestHandler) -> Contender:
    """Hand batches of 5,000 envelopes to the handler, one after the other."""

    async def run(workload: Workload) -> None:
        for batch in _parts(workload.envelopes, TRANSACTION):
            await handler.handle(batch, door=Door.HTTP, principal=Principal())

    return run


def http_door(client: httpx.AsyncClient, bodies: dict[str, list[bytes]]) -> Contender:
    """Post batches of 500, several requests at once, as publishers do: gzipped."""

    async def run(workload: Workload) -> None:
        waiting = iter(bodies[workload.name])
        await asyncio.gather(*(_send(client, waiting) for _ in range(_SENDERS)))

    return run


def request_bodies(workload: Workload) -> list[bytes]:
    """Return the workload as gzipped request bodies of 500 envelopes."""
    batches = _parts(workload.envelopes, REQUEST)
    return [gzip.compress(http.encode_batch(batch), compresslevel=1) for batch in batches]


async def _send(client: httpx.AsyncClient, bodies: Iterator[bytes]) -> None:
    headers = {"content-type": http.BATCH, "content-encoding": "gzip"}
    for body in bodies:
        answer = await client.post("/v1/provider-ingest", content=body, headers=headers)
        answer.raise_for_status()


def _parts(whole: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (whole[start : start + size] for start in range(0, len(whole), size))
