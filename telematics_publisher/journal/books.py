"""What an open journal keeps in memory beside its tables."""

import sqlite3
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self
from uuid import UUID

from ingress_contracts.control import CheckpointEpoch
from telematics_publisher.journal import statements
from telematics_publisher.journal.ranges import RangeSet
from telematics_publisher.records import Lane


class Epoch(NamedTuple):
    """Numbers from `first` to `head` belong to it; the open one, always the last, has head None."""

    epoch: UUID
    first: int
    head: int | None


@dataclass(slots=True)
class Books:
    """The numbers of a journal: handed out up to `head`, not settled (`pending`), given up.

    `reports` are undeliverable records and the numbers that they settle. `dropped` numbers are
    those of which core has not heard. Records up to `attempted_through` may have been sent.
    """

    head: int
    pending: RangeSet
    dropped: RangeSet
    reports: dict[int, int]
    epochs: list[Epoch]
    checkpoint: int
    attempted_through: int
    lanes: dict[int, Lane] = field(default_factory=dict)
    lane_ids: dict[Lane, int] = field(default_factory=dict)

    def copy(self) -> Self:
        """Return books of their own: a transaction that fails goes back to them."""
        return replace(
            self,
            pending=self.pending.copy(),
            dropped=self.dropped.copy(),
            reports=self.reports.copy(),
            epochs=self.epochs.copy(),
            lanes=self.lanes.copy(),
            lane_ids=self.lane_ids.copy(),
        )

    def know_lane(self, id_: int, lane: Lane) -> None:
        """Take note of a lane's row."""
        self.lanes[id_] = lane
        self.lane_ids[lane] = id_

    def epoch_of(self, sequence: int) -> UUID:
        """Return the epoch under which a number was handed out."""
        for epoch in reversed(self.epochs):
            if sequence >= epoch.first:
                return epoch.epoch
        raise AssertionError(f"number {sequence} is older than every epoch of the journal")

    def told(self) -> tuple[CheckpointEpoch, ...]:
        """Return every epoch as a checkpoint tells it."""
        return tuple(
            CheckpointEpoch(
                epoch=each.epoch,
                first=each.first,
                head=(head := self.head if each.head is None else each.head),
                pending=self.pending.within(each.first, head),
                dropped=self.dropped.within(each.first, head),
                closed=each.head is not None,
            )
            for each in self.epochs
        )


def load_books(connection: sqlite3.Connection) -> Books:
    """Read the books of the journal behind `connection`, changing nothing."""
    sql = statements.load()

    def rows(name: str) -> list[Any]:
        return connection.execute(sql[name]).fetchall()

    ((_, _, checkpoint, attempted_through),) = rows("identity")
    ((head,),) = rows("last_sequence")
    books = Books(
        head=head,
        pending=RangeSet(rows("pending_ranges")),
        dropped=RangeSet(rows("dropped")),
        reports=dict(rows("reports")),
        epochs=[Epoch(UUID(id_), first, last) for id_, first, last in rows("epochs")],
        checkpoint=checkpoint,
        attempted_through=attempted_through,
    )
    for id_, type_, provider, source, timestamped in rows("lanes"):
        books.know_lane(id_, Lane(type_, provider, source, bool(timestamped)))
    return books
