"""Folds appended settlements into blocks and counts, and applies the checkpoints that count."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias
from uuid import UUID

import asyncpg
import structlog
from prometheus_client import Counter

from core_ingest.errors import (
    Contention,
    DataRefused,
    IngestError,
    StoreUnavailable,
    translated,
)
from core_ingest.ledger.barriers import (
    GREATEST,
    PublisherKey,
    Reached,
    half_open,
    has_arrived,
    inclusive,
    reached,
)
from core_ingest.ledger.numbers import BLOCK, NumberSet, blocks
from core_ingest.ledger.settlements import DELAY_BOUNDS
from core_ingest.ledger.shadow import Kept, Shadow, expire
from core_ingest.store.database import Connection
from core_ingest.store.queries import load
from ingress_contracts.control import Checkpoint, CheckpointEpoch

_SQL = load("core_ingest.ledger", "ledger.sql")
_ROWS_AT_ONCE = 2_000

ROWS_FOLDED = Counter(
    "core_ingest_settlement_rows_folded_total",
    "Appended settlement rows that this process has folded into the ledger.",
)

Account: TypeAlias = tuple[int, str, UUID]
"""Workspace, publisher and epoch."""

_log = structlog.get_logger()


class Stop(Protocol):
    """What ends a loop: see `ingress_runtime.shutdown`."""

    async def wait(self) -> object:
        """Return once the process is asked to stop."""


@dataclass(slots=True)
class _Count:
    settled: int = 0
    redelivered: int = 0
    delays: list[int] = field(default_factory=lambda: [0] * (len(DELAY_BOUNDS) + 1))


@dataclass(slots=True)
class _Report:
    """The newest word on each epoch of a publisher with its arrival; the newest checkpoint.

    `counted` are all of them, by number.
    """

    number: int = -1
    counted: list[tuple[Checkpoint, datetime]] = field(default_factory=list)
    epochs: dict[UUID, tuple[CheckpointEpoch, datetime]] = field(default_factory=dict)

    def add(self, checkpoint: Checkpoint, arrived: datetime) -> None:
        """Take in the next checkpoint. A head never falls: its numbers were handed out."""
        self.number = checkpoint.number
        self.counted.append((checkpoint, arrived))
        for told in checkpoint.epochs:
            known = self.epochs.get(told.epoch)
            head = max(told.head, known[0].head) if known else told.head
            self.epochs[told.epoch] = told.model_copy(update={"head": head}), arrived


@dataclass(slots=True)
class _Epoch:
    numbers: NumberSet
    lowest: int | None
    highest: int | None
    counts: dict[tuple[str, str], _Count] = field(default_factory=lambda: defaultdict(_Count))

    def settle(self, row: asyncpg.Record, kept: Kept | None) -> None:
        """Fold one appended row: the first settlement of a number counts, later ones are copies.

        Tell `kept` of it.
        """
        count = self.counts[row["door"], row["outcome"]]
        count.delays = [a + b for a, b in zip(count.delays, row["delays"], strict=True)]
        if row["last"] is not None:
            self._reach(row["first"], row["last"])
            # Each checkpoint repeats what was dropped: those are no copies.
            count.settled += self.numbers.add_range(row["first"], row["last"])
            return
        parts = []
        for block, part in blocks(row["first"], row["numbers"]):
            fresh = self.numbers.add(block, part)
            parts.append((block, part, fresh))
            new = fresh.bit_count()
            count.settled += new
            count.redelivered += part.bit_count() - new
            low = (part & -part).bit_length() - 1
            self._reach(block * BLOCK + low, block * BLOCK + part.bit_length() - 1)
        if kept is not None:
            kept.add(row, parts)

    def _reach(self, low: int, high: int) -> None:
        self.lowest = low if self.lowest is None else min(self.lowest, low)
        self.highest = high if self.highest is None else max(self.highest, high)


async def compact(pool: asyncpg.Pool) -> int:
    """Fold everything that was appended so far and return how many rows that were.

    Only one process folds at a time; others wait. Checkpoints are read before the settlements, so
    that what a checkpoint vouches for is folded when it is applied. Raises StoreUnavailable.
    """
    with translated(repeated=False):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["lock_ledger"])
            checkpoints = await connection.fetch(_SQL["checkpoints"])
            come = reached(await connection.fetch(_SQL["arrivals"]))
            due = _counting(checkpoints, come)
            shadow = await Shadow.read(connection)
            for key, report in due.items():
                await shadow.take(connection, key, report.counted)
            folded = 0
            while rows := await connection.fetch(_SQL["take_settlements"], _ROWS_AT_ONCE):
                await _fold(connection, rows, shadow)
                folded += len(rows)
            for (workspace, publisher), report in due.items():
                await _apply(connection, workspace, publisher, report)
            await shadow.judge(connection, come)
    ROWS_FOLDED.inc(folded)
    return folded


async def _apply(connection: Connection, workspace: int, publisher: str, report: _Report) -> None:
    """Note what a publisher says of its epochs, and forget the checkpoints that said it."""
    rows = [
        (
            workspace,
            publisher,
            epoch.epoch,
            epoch.first,
            epoch.head,
            half_open(epoch.pending),
            epoch.closed,
            arrived,
        )
        for epoch, arrived in report.epochs.values()
    ]
    await connection.executemany(_SQL["report_epoch"], rows)
    await connection.execute(_SQL["forget_checkpoints"], workspace, publisher, report.number)


def _counting(checkpoints: Iterable[asyncpg.Record], come: Reached) -> dict[PublisherKey, _Report]:
    """Return what each publisher says by the checkpoints that arrived, or were overtaken, everywhere.

    A checkpoint need not name every epoch, so the newest word on each one is kept.
    """
    due: dict[PublisherKey, _Report] = defaultdict(_Report)
    for row in checkpoints:  # by number
        key = (row["workspace"], row["publisher"])
        checkpoint = Checkpoint.model_validate_json(row["body"])
        if has_arrived(checkpoint.number, checkpoint.routes, come.get(key, {})):
            due[key].add(checkpoint, row["arrived"])
    return due


async def _fold(connection: Connection, rows: list[asyncpg.Record], shadow: Shadow) -> None:
    by_epoch: dict[Account, list[asyncpg.Record]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["id"]):
        by_epoch[row["workspace"], row["publisher"], row["epoch"]].append(row)
    for account, group in by_epoch.items():
        epoch = await _load_epoch(connection, account)
        kept = shadow.kept(account[:2])
        for row in group:
            epoch.settle(row, kept)
        await _save(connection, account, epoch)
        if kept is not None:
            await kept.save(connection, account)


async def _load_epoch(connection: Connection, account: Account) -> _Epoch:
    """Return what is known of an epoch."""
    row = await connection.fetchrow(_SQL["epoch"], *account)
    parts = await connection.fetch(_SQL["blocks"], *account)
    partial = {part["block"]: int.from_bytes(part["numbers"], "little") for part in parts}
    if row is None:
        return _Epoch(NumberSet(), None, None)
    return _Epoch(NumberSet(inclusive(row["settled"]), partial), row["lowest"], row["highest"])


async def _save(connection: Connection, account: Account, epoch: _Epoch) -> None:
    full = half_open(epoch.numbers.full())
    await connection.execute(_SQL["save_epoch"], *account, full, epoch.lowest, epoch.highest)
    partial = epoch.numbers.partial()
    await connection.executemany(
        _SQL["save_block"],
        [
            (*account, block, _bytes(partial[block]))
            for block in sorted(epoch.numbers.changed & partial.keys())
        ],
    )
    await connection.execute(
        _SQL["drop_blocks"], *account, sorted(epoch.numbers.changed - partial.keys())
    )
    await connection.executemany(
        _SQL["add_counts"],
        [
            # An epoch of all numbers there are holds one more than int8 counts to.
            (
                *account,
                door,
                outcome,
                min(count.settled, GREATEST),
                count.redelivered,
                count.delays,
            )
            for (door, outcome), count in sorted(epoch.counts.items())
        ],
    )


def _bytes(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


class Compactor:
    """Compacts at an interval (s) until asked to stop; trouble of the database only delays it.

    It is the one that always asks, so it tells of an outage: a line when it begins, one when it ends.
    What the shadow report reads is given up after `window`. `look` is called before each round, while
    what there is to fold is still there.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        interval: float = 1.0,
        window: timedelta = timedelta(days=1),
        look: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._pool = pool
        self._interval = interval
        self._window = window
        self._look = look
        self._away = False

    async def run(self, stop: Stop) -> None:
        """Compact until `stop`."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stopping.done():
                if self._look is not None:
                    await self._look()
                await self._compact()
                await asyncio.wait([stopping], timeout=self._interval)
        finally:
            stopping.cancel()

    async def _compact(self) -> None:
        try:
            await compact(self._pool)
            await expire(self._pool, self._window)
        except StoreUnavailable as error:
            if not self._away:
                _log.warning("database_away", error=str(error))
            self._away = True
        except (IngestError, Contention, DataRefused) as error:
            _log.warning("compaction_failed", error=str(error))
        else:
            if self._away:
                _log.info("database_back")
            self._away = False
