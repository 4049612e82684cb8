"""What is kept for the shadow report while settlements are folded, and given up after a window.

Only of publishers whose checkpoints name copies; and until a while after the last such checkpoint,
since its copies come behind it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from core_ingest.errors import translated
from core_ingest.ledger.barriers import PublisherKey, Reached, half_open, has_arrived
from core_ingest.ledger.settlements import DELAY_BOUNDS
from core_ingest.outcome import OutcomeKind
from core_ingest.store.database import Connection
from core_ingest.store.queries import load
from ingress_contracts.control import Checkpoint, CheckpointEpoch, Route

SLOT = timedelta(minutes=5)
"""What is kept is told apart by such spans of time."""

MOST_AWAITED = 100
"""Checkpoints of a publisher whose copies are awaited at a time."""

_GRACE = timedelta(minutes=15)
_ROWS_AT_ONCE = 5_000
_SQL = load("core_ingest.ledger", "shadow.sql")
_LOCK = load("core_ingest.ledger", "ledger.sql")["lock_ledger"]
_ROUTES: TypeAdapter[tuple[Route, ...]] = TypeAdapter(tuple[Route, ...])

Place: TypeAlias = tuple[datetime, str, int]
"""Slot, door and block."""

Counted: TypeAlias = Sequence[tuple[Checkpoint, datetime]]
"""Checkpoints that came by all their routes, by number, each with its arrival."""


@dataclass(slots=True)
class _Block:
    """What came of a block by a door within a slot: bitmaps, and how long it took."""

    numbers: int = 0
    firsts: int = 0
    dead: int = 0
    delays: list[int] = field(default_factory=lambda: [0] * (len(DELAY_BOUNDS) + 1))

    def add(self, other: "_Block") -> None:
        self.numbers |= other.numbers
        self.firsts |= other.firsts
        self.dead |= other.dead
        self.delays = [a + b for a, b in zip(self.delays, other.delays, strict=True)]


class Kept:
    """What was settled of one epoch, by slot, door and block."""

    def __init__(self) -> None:
        self._blocks: dict[Place, _Block] = defaultdict(_Block)

    def add(self, row: asyncpg.Record, parts: Sequence[tuple[int, int, int]]) -> None:
        """Take a row of settlements: of each block its number, its bitmap, and what of it was new."""
        slot = slot_of(row["settled"])
        delays: list[int] = row["delays"]
        for block, bits, new in parts:
            found = self._blocks[slot, row["door"], block]
            dead = bits if row["outcome"] == OutcomeKind.DEAD_LETTERED else 0
            found.add(_Block(bits, new, dead, delays))
            delays = [0] * len(delays)

    async def save(self, connection: Connection, account: tuple[int, str, UUID]) -> None:
        """Add all of it to what is stored."""
        if not self._blocks:
            return
        slots = {slot for slot, _, _ in self._blocks}
        blocks = {block for _, _, block in self._blocks}
        for row in await connection.fetch(_SQL["arrivals"], *account, list(slots), list(blocks)):
            place = (row["slot"], row["door"], row["block"])
            if place in self._blocks:
                numbers, firsts, dead = map(bits_of, (row["numbers"], row["firsts"], row["dead"]))
                self._blocks[place].add(_Block(numbers, firsts, dead, row["delays"]))
        await connection.executemany(
            _SQL["save_arrivals"],
            [
                (
                    *account,
                    *place,
                    *map(bytes_of, (found.numbers, found.firsts, found.dead)),
                    found.delays,
                )
                for place, found in sorted(self._blocks.items())
            ],
        )


class Shadow:
    """The part of one compaction that concerns copies. Its caller holds the ledger's lock."""

    def __init__(self, known: Iterable[asyncpg.Record]) -> None:
        self._known: set[PublisherKey] = set()
        self._recorded: set[PublisherKey] = set()
        for row in known:
            key = (row["workspace"], row["publisher"])
            self._known.add(key)
            if row["recorded"]:
                self._recorded.add(key)

    @classmethod
    async def read(cls, connection: Connection) -> "Shadow":
        """Return one that knows which publishers send copies."""
        return cls(await connection.fetch(_SQL["publishers"], _GRACE))

    async def take(self, connection: Connection, key: PublisherKey, counted: Counted) -> None:
        """Take what a publisher's checkpoints say of its copies."""
        for checkpoint, arrived in counted:
            if checkpoint.copies:
                self._known.add(key)
                self._recorded.add(key)
                await connection.execute(_SQL["copying"], *key, arrived)
                await connection.executemany(_SQL["add_copied"], _acknowledged(key, checkpoint))
                await connection.execute(
                    _SQL["add_checkpoint"],
                    *key,
                    checkpoint.number,
                    checkpoint.model_dump_json(),
                    arrived,
                    MOST_AWAITED,
                )
            elif key in self._known:
                await connection.executemany(_SQL["add_apart"], _acknowledged(key, checkpoint))

    def kept(self, key: PublisherKey) -> Kept | None:
        """Return what takes the settlements of an epoch of this publisher, if they are kept."""
        return Kept() if key in self._recorded else None

    async def judge(self, connection: Connection, reached: Reached) -> None:
        """Judge what lies before the checkpoints that came by their copies too.

        `reached` was read before the settlements, which are folded by now.
        """
        if not self._known:
            return
        behind: dict[PublisherKey, list[tuple[int, datetime]]] = defaultdict(list)
        for row in await connection.fetch(_SQL["awaited"]):
            key = (row["workspace"], row["publisher"])
            copies = _ROUTES.validate_json(row["copies"])
            if has_arrived(row["number"], copies, reached.get(key, {})):
                behind[key].append((row["number"], row["arrived"]))
        for key, numbers in behind.items():
            for number, arrived in numbers:
                body = await connection.fetchval(_SQL["body"], *key, number)
                checkpoint = Checkpoint.model_validate_json(body)
                await connection.executemany(_SQL["judge"], _acknowledged(key, checkpoint))
                await connection.execute(_SQL["raise_barrier"], *key, arrived)
            await connection.execute(_SQL["forget_checkpoints"], *key, numbers[-1][0])


async def expire(pool: asyncpg.Pool, window: timedelta, most: int = _ROWS_AT_ONCE) -> None:
    """Remove what lies before the window, at most `most` rows of a table. Raises StoreUnavailable."""
    with translated(repeated=False):
        async with pool.acquire() as connection:
            if not await connection.fetch(_SQL["publishers"], _GRACE):
                return
            async with connection.transaction():
                await connection.execute(_LOCK)
                await connection.execute(_SQL["end_window"], window, SLOT)
                await connection.execute(_SQL["drop_arrivals"], window + SLOT, most)
                await connection.execute(_SQL["drop_checkpoints"], window)
                await connection.execute(_SQL["drop_epochs"], window + SLOT, most)
                await connection.execute(_SQL["drop_publishers"], window)


def slot_of(instant: datetime) -> datetime:
    """Return the beginning of the slot in which an instant lies."""
    since = instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return datetime(1970, 1, 1, tzinfo=UTC) + since // SLOT * SLOT


def bytes_of(bits: int) -> bytes:
    """Return a bitmap as it is stored."""
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def bits_of(stored: bytes) -> int:
    """Return a stored bitmap."""
    return int.from_bytes(stored, "little")


def _acknowledged(
    key: PublisherKey, checkpoint: Checkpoint
) -> list[tuple[int, str, UUID, list[asyncpg.Range[int]], list[asyncpg.Range[int]]]]:
    """Return of each epoch its span, and what of it is not acknowledged."""
    return [
        (*key, told.epoch, half_open(_span(told)), half_open((*told.pending, *told.dropped)))
        for told in checkpoint.epochs
    ]


def _span(told: CheckpointEpoch) -> list[tuple[int, int]]:
    return [(told.first, told.head)] if told.head >= told.first else []
