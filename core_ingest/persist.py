"""The middle of the handler's transaction: read, decide, write, for as many items as survive."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

from core_ingest.decide import decide, lookups
from core_ingest.door import Door
from core_ingest.errors import DataRefused
from core_ingest.item import WHOLE, Item, conclude, origin
from core_ingest.ledger.barriers import is_copy
from core_ingest.ledger.settlements import Settlements
from core_ingest.outcome import OutcomeKind
from core_ingest.prepared import Prepared
from core_ingest.reading import micros
from core_ingest.store.transaction import Transaction
from core_ingest.unreadable import Unreadable
from ingress_contracts.control import Checkpoint, Connection, Undeliverable

Step: TypeAlias = Callable[[str], Awaitable[None]]
"""Called between the steps of a transaction with the name of the step just done."""


class Persistence:
    """Stores items in an open transaction that holds the locks of all their assets."""

    def __init__(self, transaction: Transaction, prepared: Prepared, now: int, step: Step) -> None:
        self._transaction = transaction
        self._prepared = prepared
        self._now = now
        self._step = step

    async def store_survivors(self, items: Sequence[Item]) -> None:
        """Store items, bisecting down to the ones that the database refuses: dead letters, alone."""
        try:
            async with self._transaction.savepoint():
                await self.store(items)
        except DataRefused as error:
            if len(items) > 1:
                middle = len(items) // 2
                await self.store_survivors(items[:middle])
                await self.store_survivors(items[middle:])
            else:
                items[0].dead_letter("refused_by_database", f"SQLSTATE {error.sqlstate}: {error}")
                await self.store(items)

    async def store(self, items: Sequence[Item]) -> None:
        """Decide and write: history, latest, revisions, control messages, dead letters, ledger."""
        transaction = self._transaction
        candidates = self._prepared.candidates(items)
        marks = await transaction.marks({candidate.key for candidate in candidates})
        stored = await transaction.stored(lookups(candidates, marks))
        await self._step("read")
        decision = decide(candidates, marks, stored, self._prepared.skew)
        await transaction.append_history(decision.facts)
        await self._step("history")
        await transaction.raise_latest(decision.raised, marks.keys())
        await self._step("latest")
        await transaction.raise_revisions({key[:2] for key in decision.raised})
        # The outbox and the arrival summaries of `core_events` belong here, under the asset locks.
        verdicts = iter(decision.verdicts)
        for item in items:
            if item.readings:
                conclude(item, verdicts)
        await self._write_control([item for item in items if item.control is not None])
        await self._write_dead_letters(items)
        await transaction.append_settlements(self._settled(items).rows())
        await self._step("written")

    async def store_unreadable(self, found: Sequence[tuple[str, Door, Unreadable]]) -> None:
        """Keep what is no envelope, each with its origin, and settle the numbers that it names.

        Nothing in it is for the database to refuse, so it stands outside of any bisection.
        """
        rows: list[tuple[object, ...]] = []
        settlements = Settlements(self._now)
        for origin_, door, one in found:
            workspace = self._prepared.workspaces[one.workspace]
            why = (one.reason, storable(one.detail), door.value)
            rows.append((workspace, origin_, WHOLE, *why, one.attributes(), one.data))
            publisher, epoch, sequence = one.publisherid, one.publisherepoch, one.sequence
            if one.workspaceid and publisher and epoch and sequence is not None:
                received = self._now if one.receivedtime is None else micros(one.receivedtime)
                outcome = OutcomeKind.DEAD_LETTERED
                settlements.settle(workspace, publisher, epoch, door, outcome, sequence, received)
        await self._transaction.write("add_dead_letters", rows)
        await self._transaction.append_settlements(settlements.rows())

    async def _write_control(self, items: Sequence[Item]) -> None:
        """Store connection events and checkpoints."""
        events = []
        for item in items:
            envelope, body = item.envelope, item.control
            if isinstance(body, Connection):
                events.append(
                    (
                        self._workspace(item),
                        envelope.publisherid,
                        envelope.publisherepoch,
                        envelope.sequence,
                        envelope.provider or "",
                        body.stream,
                        body.state.value,
                        body.at,
                        envelope.receivedtime,
                        body.reason,
                    )
                )
            elif isinstance(body, Checkpoint):
                await self._write_checkpoint(item, body)
        await self._transaction.write("add_connection_events", events)

    async def _write_checkpoint(self, item: Item, body: Checkpoint) -> None:
        """Store a checkpoint, and by which route it came; a copy tells no more than that.

        It may come when the checkpoint has been applied and is gone.
        """
        key = (self._workspace(item), item.envelope.publisherid)
        route = item.route
        if not is_copy(body, route):
            await self._transaction.execute(
                "add_checkpoint", *key, route, body.number, body.model_dump_json()
            )
        await self._transaction.execute("arrive_checkpoint", *key, route, body.number)

    async def _write_dead_letters(self, items: Sequence[Item]) -> None:
        rows: list[tuple[object, ...]] = []
        for item in items:
            if item.dead_letters:
                rows += self._dead_letters(item)
            elif item.control is not None and isinstance(item.control, Undeliverable):
                rows.append(self._undeliverable(item, item.control))
        await self._transaction.write("add_dead_letters", rows)

    def _dead_letters(self, item: Item) -> Iterator[tuple[object, ...]]:
        key = (self._workspace(item), item.origin)
        rest = (item.door.value, item.attributes(), item.envelope.data)
        for letter in item.dead_letters:
            yield (*key, letter.index, letter.reason, storable(letter.detail), *rest)

    def _undeliverable(self, item: Item, body: Undeliverable) -> tuple[object, ...]:
        """Return the dead letter of the record that the message reports on: its data are gone."""
        target = origin(item.envelope.publisherid, body.epoch, body.sequence)
        detail = storable(f"{body.size} bytes; {body.detail}")
        key = (self._workspace(item), target, WHOLE)
        return (*key, body.reason, detail, item.door.value, item.attributes(), b"")

    def _settled(self, items: Sequence[Item]) -> Settlements:
        """Gather the numbers that these items settle: their own, and those they report on."""
        settlements = Settlements(self._now)
        workspaces = self._prepared.workspaces
        for item in items:
            envelope = item.envelope
            workspace, publisher = workspaces[envelope.workspaceid], envelope.publisherid
            epoch, sequence = envelope.publisherepoch, envelope.sequence
            if epoch is not None and sequence is not None:
                outcome = OutcomeKind.CONTROL if item.is_control else item.concluded.kind
                settlements.settle(
                    workspace, publisher, epoch, item.door, outcome, sequence, item.received
                )
            if item.control is None:
                continue
            if isinstance(item.control, Undeliverable):
                settlements.settle(
                    workspace,
                    publisher,
                    item.control.epoch,
                    item.door,
                    OutcomeKind.DEAD_LETTERED,
                    item.control.sequence,
                    item.received,
                )
            elif isinstance(item.control, Checkpoint):
                for each in item.control.epochs:
                    settlements.drop(workspace, publisher, each.epoch, item.door, each.dropped)
        return settlements

    def _workspace(self, item: Item) -> int:
        return self._prepared.workspaces[item.envelope.workspaceid]


def storable(detail: str) -> str:
    """Return a text for people as Postgres can hold it."""
    return detail.replace("\x00", "\ufffd").encode(errors="replace").decode()
