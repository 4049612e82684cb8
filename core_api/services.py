"""What the routes work with, and how it is opened and closed around the life of the process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Annotated

import asyncpg
import structlog
from fastapi import Depends, Request

from core_api.admission import Admission
from core_api.group_commit import GroupCommit
from core_api.key_store import KeyStore
from core_api.keys import Keyring
from core_api.letter_desk import LetterDesk
from core_api.readiness import Readiness
from core_api.reads import Reads
from core_api.settings import ApiSettings
from core_ingest.handler import IngestHandler
from core_ingest.ledger.compactor import Compactor
from core_ingest.ledger.watch import Watch
from core_ingest.store import database
from core_ingest.store.database import DatabaseSettings
from ingress_runtime import faults
from ingress_runtime.shutdown import Shutdown

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the routes of one process."""

    settings: ApiSettings
    keyring: Keyring
    admission: Admission
    commits: GroupCommit
    reads: Reads
    dead_letters: LetterDesk
    readiness: Readiness


@asynccontextmanager
async def open_services(
    settings: ApiSettings, database_settings: DatabaseSettings
) -> AsyncIterator[Services]:
    """Yield services over an open pool; on leaving, what was accepted is committed first.

    Raises StoreUnavailable where the database is away, SchemaOutdated where migrations are pending.
    """
    pool = await database.connect(
        database_settings.url.get_secret_value(),
        min_size=settings.commit_workers,
        max_size=database_settings.pool_size,
        statement_timeout=database_settings.statement_timeout_seconds,
    )
    try:
        services = build_services(settings, pool)
        await services.readiness.require_migrated()
        async with _compacting(pool, settings):
            try:
                yield services
            finally:
                await services.commits.close()
    finally:
        await database.close(pool)


def build_services(settings: ApiSettings, pool: asyncpg.Pool) -> Services:
    """Return services over `pool`. Needs a running event loop."""
    reads = Reads(pool, connections=settings.read_connections, seconds=settings.read_seconds)
    return Services(
        settings=settings,
        keyring=Keyring(KeyStore(pool).find, seconds=settings.key_cache_seconds, clock=monotonic),
        admission=Admission(max_bytes=settings.work_bytes, max_requests=settings.requests_per_key),
        commits=GroupCommit(
            IngestHandler(pool, step=_pass_fault_point),
            workers=settings.commit_workers,
            max_group=settings.commit_envelopes,
            capacity=settings.work_envelopes,
        ),
        reads=reads,
        dead_letters=LetterDesk(pool, reads, step=_pass_fault_point, seconds=settings.read_seconds),
        readiness=Readiness(pool),
    )


async def _pass_fault_point(step: str) -> None:
    """Go on between the steps of a transaction, unless a trial has this process end there."""
    point = faults.TRANSACTION_STEPS.get(step)
    if point is not None:
        faults.passed(point)


@asynccontextmanager
async def _compacting(pool: asyncpg.Pool, settings: ApiSettings) -> AsyncIterator[None]:
    stop = Shutdown()
    watch = Watch(pool, settings.ledger_look_seconds)
    window = timedelta(hours=settings.shadow_hours)
    compactor = Compactor(pool, settings.compact_seconds, window, watch.look)
    task = asyncio.create_task(_compact(compactor, settings.compact_seconds, stop))
    try:
        yield
    finally:
        stop.request()
        await task


async def _compact(compactor: Compactor, seconds: float, stop: Shutdown) -> None:
    """Compact until `stop`; whatever ends a run, the next one begins after the usual pause."""
    while not stop.requested:
        try:
            await compactor.run(stop)
        except Exception:
            log.exception("compactor_failed_and_will_begin_again")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)


async def _given(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Given = Annotated[Services, Depends(_given)]
