"""A journal at rest, read without touching it: what is in it, and whether it is sound."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ingress_contracts.control import CheckpointEpoch, Undeliverable
from telematics_publisher.errors import JournalDamaged
from telematics_publisher.journal import statements
from telematics_publisher.journal.books import load_books
from telematics_publisher.journal.file import VERSION, reading, stamp, tables_of
from telematics_publisher.journal.wal import torn_commits
from telematics_publisher.records import instant

_READABLE = 2
"""The oldest format that can be read as it is: of a former one, tables are missing."""


@dataclass(frozen=True, slots=True)
class LaneReport:
    """What the journal holds of one kind from one stream."""

    type: str
    provider: str
    source: str
    records: int
    data_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """What is in a journal. Numbers are inclusive ranges; ages in seconds."""

    journal: str
    format: int
    workspace: str
    publisher: str
    file_bytes: int
    records: int
    data_bytes: int
    never_attempted: int
    oldest: datetime | None
    oldest_age_seconds: float | None
    newest: datetime | None
    head: int
    attempted_through: int
    checkpoint: int
    epochs: tuple[CheckpointEpoch, ...]
    lanes: tuple[LaneReport, ...]
    undeliverable: tuple[tuple[int, Undeliverable], ...]

    @property
    def pending(self) -> int:
        """How many numbers are not settled."""
        return sum(_size(each.pending) for each in self.epochs)

    @property
    def dropped(self) -> int:
        """How many numbers were given up that core has not heard of."""
        return sum(_size(each.dropped) for each in self.epochs)


def owner(path: Path) -> tuple[str, str]:
    """Return workspace and publisher of the journal at `path`.

    Raises JournalInUse, JournalDamaged, or JournalBroken where it cannot be read.
    """
    with reading(path) as connection:
        return _owner(connection)


def waiting(path: Path) -> tuple[tuple[str, str], int]:
    """Return whose journal is at `path`, as `owner` does, and how many of its numbers are pending."""
    with reading(path) as connection:
        return _owner(connection), _size(_rows(connection, "pending_ranges"))


def inspect(path: Path, now: int) -> Report:
    """Return what is in the journal at `path`; ages as of `now` (µs).

    Raises JournalInUse, JournalDamaged, or JournalBroken where it cannot be read.
    """
    with reading(path) as connection, _sensible():
        _, version = stamp(connection)
        workspace, publisher = _owner(connection)
        books = load_books(connection)
        lanes = tuple(LaneReport(*row) for row in _rows(connection, "by_lane"))
        ((oldest, newest, never_attempted),) = _rows(connection, "ages")
        return Report(
            journal=str(path),
            format=version,
            workspace=workspace,
            publisher=publisher,
            file_bytes=_file_bytes(path),
            records=sum(lane.records for lane in lanes),
            data_bytes=sum(lane.data_bytes for lane in lanes),
            never_attempted=never_attempted,
            oldest=None if oldest is None else instant(oldest),
            oldest_age_seconds=None if oldest is None else max(0, now - oldest) / 1e6,
            newest=None if newest is None else instant(newest),
            head=books.head,
            attempted_through=books.attempted_through,
            checkpoint=books.checkpoint,
            epochs=books.told(),
            lanes=lanes,
            undeliverable=tuple(
                (sequence, Undeliverable.model_validate_json(data))
                for sequence, data in _rows(connection, "report_bodies")
            ),
        )


def verify(path: Path) -> list[str]:
    """Return what is wrong with the journal at `path`: nothing, if it is sound.

    Raises JournalInUse or JournalBroken where that cannot be found out.
    """
    try:
        with reading(path) as connection, _sensible():
            return _structure(connection, path) or _contents(connection)
    except JournalDamaged as error:
        return [str(error)]


def _structure(connection: sqlite3.Connection, path: Path) -> list[str]:
    _, version = stamp(connection)
    if not _READABLE <= version <= VERSION:
        return [f"it has format {version}; this version writes {VERSION}"]
    tables = {name for (name,) in _rows(connection, "tables")}
    if missing := tables_of(version) - tables:
        return [f"tables are missing: {', '.join(sorted(missing))}"]
    found = [
        " ".join(str(line).split())
        for (line,) in connection.execute("PRAGMA integrity_check(20)")
        if line != "ok"
    ]
    if torn := torn_commits(connection, path):
        found.append(f"its write-ahead log is torn: {torn} commits cannot be read")
    if len(_rows(connection, "identity")) != 1:
        found.append("it does not say whose journal it is")
    return found


_RULES = {
    "stray_records": "records belong to no epoch, or lie above the highest number",
    "records_without_lane": "records have no source, and cannot be sent",
    "reports_without_record": "numbers wait for a report that is gone",
    "dropped_records": "records are there whose numbers count as dropped",
}


@contextmanager
def _sensible() -> Iterator[None]:
    """Take values that make no sense for damage."""
    try:
        yield
    except ValidationError as error:
        raise JournalDamaged(f"it contradicts itself: {error.errors()[0]['msg']}") from error
    except ValueError as error:
        raise JournalDamaged(f"it contradicts itself: {error}") from error


def _contents(connection: sqlite3.Connection) -> list[str]:
    found = []
    for name, rule in _RULES.items():
        ((count,),) = _rows(connection, name)
        if count:
            found.append(f"{rule} ({count})")
    try:
        load_books(connection).told()
    except ValidationError as error:
        found.append(f"its epochs contradict each other: {error.errors()[0]['msg']}")
    return found


def _owner(connection: sqlite3.Connection) -> tuple[str, str]:
    rows = _rows(connection, "identity")
    if not rows:
        raise JournalDamaged("it does not say whose journal it is")
    workspace, publisher, _, _ = rows[0]
    return workspace, publisher


def _rows(connection: sqlite3.Connection, name: str) -> list[Any]:
    return connection.execute(statements.load()[name]).fetchall()


def _file_bytes(path: Path) -> int:
    """Return the size of the file and its write-ahead log."""
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _size(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)
