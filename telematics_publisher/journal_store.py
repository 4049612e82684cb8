"""The journal's tables: SQLite, one connection, one thread, all writes inside `transaction`.

The caller commits groups of operations. After an error nothing here may be used again: what is
kept in memory beside the tables has moved on, and after a failed fsync nobody knows what is on disk.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from pydantic_core import from_json

from ingress_contracts.control import CheckpointEpoch, Undeliverable
from ingress_contracts.envelope import MAX_DATA_BYTES
from telematics_publisher import statements
from telematics_publisher.epochs import new_epoch
from telematics_publisher.errors import JournalBroken, JournalError, JournalInUse, JournalMismatch
from telematics_publisher.ranges import RangeSet
from telematics_publisher.records import Lane, Record, Stored, undeliverable_lane

_VERSION = 1
_PRAGMAS = ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL")
_OVERSIZED = "oversized"


class JournalStore:
    """Numbered records, waiting until core has them. Open it with `open`; not thread-safe.

    `head` is the highest number handed out, `pending` the numbers that are not settled yet.
    """

    def __init__(self, connection: sqlite3.Connection, epoch: UUID, first: int) -> None:
        self._connection = connection
        self._sql = statements.load()
        self.epoch = epoch
        self.first = first
        self.head = first - 1
        self.pending = RangeSet(self._rows("pending_ranges"))
        self._reports: dict[int, int] = dict(self._rows("reports"))
        self._lanes: dict[int, Lane] = {}
        self._lane_ids: dict[Lane, int] = {}
        for id_, type_, provider, source, timestamped in self._rows("lanes"):
            self._know_lane(id_, Lane(type_, provider, source, bool(timestamped)))
        ((_, _, self._checkpoint, self.attempted_through),) = self._rows("identity")
        self._epochs: list[tuple[UUID, int, int | None]] = [
            (UUID(epoch), first, head) for epoch, first, head in self._rows("epochs")
        ]  # the oldest first; the last one is open and has head None

    @classmethod
    def open(cls, path: Path, *, workspace: str, publisher: str, now: int) -> Self:
        """Open or create the journal at `path` and begin a new epoch; `now` in microseconds.

        Raises JournalInUse, JournalMismatch, or JournalBroken where the file cannot be used.
        """
        try:
            connection = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _translate(path, error) from error
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            return cls._begin_epoch(connection, path, workspace, publisher, now)
        except sqlite3.Error as error:
            connection.close()
            raise _translate(path, error) from error
        except JournalError:
            connection.close()
            raise

    @classmethod
    def _begin_epoch(
        cls, connection: sqlite3.Connection, path: Path, workspace: str, publisher: str, now: int
    ) -> Self:
        sql = statements.load()
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        if version not in (0, _VERSION):
            raise JournalMismatch(
                f"{path} was written by a newer version (format {version}, this one reads "
                f"{_VERSION}). Upgrade telematics-ingress, or name another journal directory."
            )
        connection.executescript(sql["schema"] + f"PRAGMA user_version = {_VERSION};")
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

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what happens inside: once this returns, it is on disk."""
        self._connection.execute("BEGIN IMMEDIATE")
        yield
        self._connection.execute("COMMIT")

    def append(self, records: Sequence[Record]) -> None:
        """Give `records` their numbers, in their order, and add them.

        Data above MAX_DATA_BYTES do not fit into an envelope: such a record gets its number, and
        the next number goes to the report that settles it as undeliverable.
        """
        rows: list[Any] = []
        count = 0
        first = number = self.head + 1
        for record in records:
            if len(record.data) > MAX_DATA_BYTES:
                detail = f"{len(record.data)} bytes exceed the limit of {MAX_DATA_BYTES}"
                report = self._report(number, record, _OVERSIZED, detail)
                self._add_report(number + 1, number)
                rows += (number + 1, *self._columns(report))
                number += 2
            else:
                rows += (number, *self._columns(record))
                number += 1
            count += 1
        at = 0
        for size in statements.chunks(count):
            self._connection.execute(statements.insert(size), rows[at : at + 5 * size])
            at += 5 * size
        if count:
            self.head = number - 1
            self.pending.add(first, self.head)

    def take(self, after: int, max_records: int, max_bytes: int) -> list[Stored]:
        """Return the next records above number `after`, in order, and mark them as attempted.

        At most `max_records`, with at most `max_bytes` of data unless the first alone has more.
        """
        ((text,),) = self._rows("take", after, max_records, max_bytes)
        taken = [
            Stored(
                self._epoch_of(number),
                number,
                Record(self._lanes[lane], received, subject, bytes.fromhex(data)),
            )
            for number, lane, received, subject, data in sorted(from_json(text))
        ]
        if taken and taken[-1].sequence > self.attempted_through:
            self.attempted_through = taken[-1].sequence
            self._rows("attempted", self.attempted_through, self.attempted_through)
        return taken

    def acknowledge(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Forget the records with these numbers, and what reports among them settle."""
        for first, last in ranges:
            self._rows("acknowledge", first, last)
            self.pending.remove(first, last)
            for report in [one for one in self._reports if first <= one <= last]:
                target = self._reports.pop(report)
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
        record = Record(self._lanes[lane], now, subject, b"")
        report = self._report(sequence, record, reason, detail, size)
        number = self.head + 1
        self._rows("acknowledge", sequence, sequence)
        self._connection.execute(statements.insert(1), (number, *self._columns(report)))
        self._add_report(number, sequence)
        self.head = number
        self.pending.add(number, number)
        return True

    def checkpoint(self, now: int) -> tuple[int, tuple[CheckpointEpoch, ...]]:
        """Return the number of a new checkpoint, and each epoch as it stands.

        Numbers rise even where a journal was lost and begun anew: they follow the clock (`now`,
        microseconds), or the last number where the clock is behind it.
        """
        self._checkpoint = max(self._checkpoint + 1, now)
        self._rows("checkpoint_number", self._checkpoint)
        epochs = tuple(
            CheckpointEpoch(
                epoch=epoch,
                first=first,
                head=self.head if head is None else head,
                pending=self.pending.within(first, self.head if head is None else head),
                closed=head is not None,
            )
            for epoch, first, head in self._epochs
        )
        return self._checkpoint, epochs

    def forget(self, epochs: Sequence[UUID]) -> None:
        """Forget closed epochs: core has confirmed that nothing of them is pending."""
        for epoch in epochs:
            self._rows("forget_epoch", str(epoch))
        self._epochs = [one for one in self._epochs if one[0] not in epochs]

    def used_bytes(self) -> int:
        """Return the size of the pages in use; the file itself does not shrink."""
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def _report(
        self, target: int, record: Record, reason: str, detail: str, size: int | None = None
    ) -> Record:
        body = Undeliverable(
            epoch=self._epoch_of(target),
            sequence=target,
            reason=reason,
            detail=detail[:2_000],
            size=len(record.data) if size is None else size,
            subject=record.subject,
        )
        lane = undeliverable_lane(record.lane)
        return Record(lane, record.received, record.subject, body.model_dump_json().encode())

    def _add_report(self, sequence: int, target: int) -> None:
        self._rows("add_report", sequence, target)
        self._reports[sequence] = target

    def _epoch_of(self, sequence: int) -> UUID:
        for epoch, first, _ in reversed(self._epochs):
            if sequence >= first:
                return epoch
        raise AssertionError(f"number {sequence} is older than every epoch of the journal")

    def _columns(self, record: Record) -> tuple[int, int, str | None, bytes]:
        lane = self._lane_ids.get(record.lane)
        if lane is None:
            lane = self._connection.execute(self._sql["add_lane"], record.lane).lastrowid
            if lane is None:
                raise AssertionError("an INSERT of one row has a row id")
            self._know_lane(lane, record.lane)
        return lane, record.received, record.subject, record.data

    def _know_lane(self, id_: int, lane: Lane) -> None:
        self._lanes[id_] = lane
        self._lane_ids[lane] = id_

    def _rows(self, name: str, *values: object) -> list[Any]:
        return self._connection.execute(self._sql[name], values).fetchall()


def _translate(path: Path, error: sqlite3.Error) -> JournalError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalInUse(
            f"{path} is open in another process. One process serves a workspace: stop the other "
            "one, or give this one a journal directory and a publisher id of its own."
        )
    return JournalBroken(
        f"{path} cannot be opened as a journal: {error}. Check that the directory exists, that "
        "this user may write there, that the disk has room, and that the file is a journal."
    )
