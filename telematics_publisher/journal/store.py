"""The journal's tables: SQLite, one connection, one thread, all writes inside `transaction`.

The caller commits groups of operations. After JournalFull it may try again. After any other error
nothing here may be used again: what is kept in memory beside the tables has moved on, and after a
failed fsync nobody knows what is on disk.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from pydantic_core import from_json, to_json

from ingress_contracts.control import CheckpointEpoch
from ingress_contracts.envelope import MAX_DATA_BYTES
from telematics_publisher.errors import JournalFull, JournalMismatch
from telematics_publisher.journal import statements
from telematics_publisher.journal.books import load_books
from telematics_publisher.journal.epochs import new_epoch
from telematics_publisher.journal.file import is_full, open_file, translated
from telematics_publisher.journal.limits import MOST_DROPPED_RANGES, Excess, Level
from telematics_publisher.journal.ranges import RangeSet
from telematics_publisher.records import Record, Stored, undeliverable

_OVERSIZED = "oversized"
_ROWS_AT_ONCE = 4_096


class JournalStore:
    """Numbered records, waiting until core has them. Open it with `open`; not thread-safe.

    `first` is the first number of this opening's `epoch`.
    """

    def __init__(self, connection: sqlite3.Connection, epoch: UUID, first: int) -> None:
        self._connection = connection
        self._sql = statements.load()
        self.epoch = epoch
        self.first = first
        self._books = load_books(connection)
        ((self._traced_through,),) = self._rows("traced_through")

    @classmethod
    def open(cls, path: Path, *, workspace: str, publisher: str, now: int) -> Self:
        """Open or create the journal at `path` and begin a new epoch; `now` in microseconds.

        Raises JournalInUse, JournalMismatch, JournalDamaged, JournalFull, or JournalBroken where the
        file cannot be used.
        """
        connection = open_file(path)
        try:
            with translated(path):
                return cls._begin_epoch(connection, path, workspace, publisher, now)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def _begin_epoch(
        cls, connection: sqlite3.Connection, path: Path, workspace: str, publisher: str, now: int
    ) -> Self:
        sql = statements.load()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(sql["remember_identity"], (workspace, publisher))
        ((owner_workspace, owner, _, _),) = connection.execute(sql["identity"]).fetchall()
        if (owner_workspace, owner) != (workspace, publisher):
            raise JournalMismatch(
                f"{path} belongs to publisher {owner!r} of workspace {owner_workspace!r}, not to "
                f"{publisher!r} of {workspace!r}. Its records keep their origin: correct the "
                "names in streams.toml, or move the file away once it is drained."
            )
        ((head,),) = connection.execute(sql["last_sequence"]).fetchall()
        epoch = new_epoch(now)
        connection.execute(sql["close_epochs"], (head,))
        connection.execute(sql["forget_empty_epochs"])
        connection.execute(sql["open_epoch"], (str(epoch), head + 1))
        connection.execute("COMMIT")
        return cls(connection, epoch, head + 1)

    @property
    def head(self) -> int:
        """The highest number handed out."""
        return self._books.head

    @property
    def pending(self) -> RangeSet:
        """The numbers that are not settled yet."""
        return self._books.pending

    @property
    def dropped(self) -> RangeSet:
        """The numbers given up, of which core has not heard yet."""
        return self._books.dropped

    @property
    def attempted_through(self) -> int:
        """The highest number whose sending was ever attempted, by any opening."""
        return self._books.attempted_through

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what happens inside: once this returns, it is on disk.

        Raises JournalFull where the disk has no room: nothing has happened then.
        """
        before = self._books.copy()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._books = before
            raise JournalFull(str(error)) from error

    def append(self, records: Sequence[Record]) -> None:
        """Give `records` their numbers, in their order, and add them.

        Data above MAX_DATA_BYTES do not fit into an envelope: such a record gets its number, and
        the next number goes to the report that settles it as undeliverable.
        """
        rows: list[Any] = []
        traces: list[tuple[int, str]] = []
        count = 0
        first = number = self.head + 1
        for record in records:
            if len(record.data) > MAX_DATA_BYTES:
                detail = f"{len(record.data)} bytes exceed the limit of {MAX_DATA_BYTES}"
                epoch = self._books.epoch_of(number)
                report = undeliverable(epoch, number, record, _OVERSIZED, detail)
                self._add_report(number + 1, number)
                rows += (number + 1, *self._columns(report))
                number += 2
            else:
                rows += (number, *self._columns(record))
                number += 1
            if record.traceparent is not None:
                traces.append((number - 1, record.traceparent))
            count += 1
        at = 0
        for size in statements.chunks(count):
            self._connection.execute(statements.insert(size), rows[at : at + 5 * size])
            at += 5 * size
        if count:
            self._books.head = number - 1
            self.pending.add(first, self.head)
        if traces:
            self._rows("add_traces", to_json(traces).decode())
            self._traced_through = traces[-1][0]

    def take(self, after: int, max_records: int, max_bytes: int) -> list[Stored]:
        """Return the next records above number `after`, in order, and mark them as attempted.

        At most `max_records`, with at most `max_bytes` of data unless the first alone has more.
        """
        ((text,),) = self._rows("take", after, max_records, max_bytes)
        lanes, epoch_of = self._books.lanes, self._books.epoch_of
        rows = sorted(from_json(text))
        traces = self._traces(rows[0][0], rows[-1][0]) if rows else {}
        taken = [
            Stored(
                epoch_of(number),
                number,
                Record(lanes[lane], received, subject, bytes.fromhex(data), traces.get(number)),
            )
            for number, lane, received, subject, data in rows
        ]
        if taken and taken[-1].sequence > self.attempted_through:
            self._books.attempted_through = taken[-1].sequence
            self._rows("attempted", self.attempted_through, self.attempted_through)
        return taken

    def acknowledge(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Forget the records with these numbers, and what reports among them settle."""
        reports = self._books.reports
        for first, last in ranges:
            self._forget(first, last)
            self.pending.remove(first, last)
            for report in [one for one in reports if first <= one <= last]:
                target = reports.pop(report)
                self._rows("remove_report", report)
                self.pending.remove(target, target)

    def set_aside(self, sequence: int, *, reason: str, detail: str, now: int) -> bool:
        """Replace a record by a report that settles it as undeliverable.

        Its number stays pending until core has the report. Returns False, and changes nothing,
        where `sequence` is no record of the journal.
        """
        found = self._rows("lookup", sequence)
        if not found:
            return False
        ((lane, subject, size),) = found
        record = Record(self._books.lanes[lane], now, subject, b"")
        epoch = self._books.epoch_of(sequence)
        report = undeliverable(epoch, sequence, record, reason, detail, size)
        number = self.head + 1
        if sequence <= self._traced_through:
            self._rows("move_trace", number, sequence)
            self._traced_through = number
        self._forget(sequence, sequence)
        self._connection.execute(statements.insert(1), (number, *self._columns(report)))
        self._add_report(number, sequence)
        self._books.head = number
        self.pending.add(number, number)
        return True

    def drop(self, excess: Excess) -> int:
        """Give up the oldest records, and return how many: never one that may have been sent.

        Reports stay, for they settle other numbers.
        """
        first = self.attempted_through + 1
        last = self._last_of(excess)
        spared = [number for pair in self._books.reports.items() for number in pair]
        chosen = RangeSet(self.pending.within(first, last))
        for number in spared:
            chosen.remove(number, number)
        room = MOST_DROPPED_RANGES - self.dropped.spans
        count = 0
        for low, high in list(chosen)[: max(0, room)]:
            self._forget(low, high)
            self.pending.remove(low, high)
            self.dropped.add(low, high)
            count += high - low + 1
        if count:
            self._write_dropped()
        return count

    def checkpoint(self, now: int) -> tuple[int, tuple[CheckpointEpoch, ...]]:
        """Return the number of a new checkpoint, and each epoch as it stands.

        Numbers rise even where a journal was lost and begun anew: they follow the clock (`now`,
        microseconds), or the last number where the clock is behind it.
        """
        books = self._books
        books.checkpoint = max(books.checkpoint + 1, now)
        self._rows("checkpoint_number", books.checkpoint)
        return books.checkpoint, books.told()

    def confirm(self, told: Sequence[CheckpointEpoch]) -> None:
        """Forget what core has confirmed to know: dropped numbers, epochs that are over."""
        over = {each.epoch for each in told if each.closed and not each.pending}
        for epoch in over:
            self._rows("forget_epoch", str(epoch))
        self._books.epochs = [each for each in self._books.epochs if each.epoch not in over]
        dropped = [span for each in told for span in each.dropped]
        for span in dropped:
            self.dropped.remove(*span)
        if dropped:
            self._write_dropped()

    def seal(self) -> None:
        """End this opening's epoch: no more numbers."""
        self._rows("close_epochs", self.head)
        *others, last = self._books.epochs
        self._books.epochs = [*others, last._replace(head=self.head)]

    def level(self) -> Level:
        """Return how full the journal is."""
        oldest = self._rows("oldest", 0)
        droppable = []
        if oldest and self.dropped.spans < MOST_DROPPED_RANGES:
            droppable = self._rows("droppable", self.attempted_through, 1)
        return Level(
            bytes=self._used_bytes(),
            oldest=oldest[0][0] if oldest else None,
            droppable=droppable[0][1] if droppable else None,
        )

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def _used_bytes(self) -> int:
        """Return the size of the pages in use; the file itself does not shrink."""
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _last_of(self, excess: Excess) -> int:
        """Return the last record that must go, among those that may."""
        last, freed = self.attempted_through, 0
        while rows := self._rows("droppable", last, _ROWS_AT_ONCE):
            for number, received, size in rows:
                if freed >= excess.bytes and received >= excess.before:
                    return last
                last, freed = number, freed + size
        return last

    def _forget(self, first: int, last: int) -> None:
        self._rows("acknowledge", first, last)
        if first <= self._traced_through:
            self._rows("forget_traces", first, last)

    def _traces(self, first: int, last: int) -> dict[int, str]:
        """Return the traceparents of these numbers, without a look where there can be none."""
        if first > self._traced_through:
            return {}
        ((text,),) = self._rows("traces", first, last)
        return dict(from_json(text))

    def _write_dropped(self) -> None:
        self._rows("clear_dropped")
        self._connection.executemany(self._sql["add_dropped"], list(self.dropped))

    def _add_report(self, sequence: int, target: int) -> None:
        self._rows("add_report", sequence, target)
        self._books.reports[sequence] = target

    def _columns(self, record: Record) -> tuple[int, int, str | None, bytes]:
        lane = self._books.lane_ids.get(record.lane)
        if lane is None:
            lane = self._connection.execute(self._sql["add_lane"], record.lane).lastrowid
            if lane is None:
                raise AssertionError("an INSERT of one row has a row id")
            self._books.know_lane(lane, record.lane)
        return lane, record.received, record.subject, record.data

    def _rows(self, name: str, *values: object) -> list[Any]:
        return self._connection.execute(self._sql[name], values).fetchall()
