"""What can be read of a damaged journal, into a new one.

Records of known epochs keep their epoch and number; records whose epoch is lost get new numbers in
an epoch of their own. All of them count as attempted: nobody knows what was sent. Numbers of known
epochs that are gone are reported neither as pending nor as dropped, so core finds out which of them
it has, and shows the others as unaccounted: they were lost, and not by any policy.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import ValidationError

from ingress_contracts.control import Undeliverable
from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_contracts.kinds import UNDELIVERABLE
from telematics_publisher.errors import JournalDamaged, JournalMismatch
from telematics_publisher.journal import statements
from telematics_publisher.journal.books import Epoch
from telematics_publisher.journal.epochs import new_epoch
from telematics_publisher.journal.file import open_file, reading, translated
from telematics_publisher.journal.surgery import lengthen, transplanted
from telematics_publisher.records import Lane

_ROWS_AT_ONCE = 4_096
_BYTES_AT_ONCE = 2**24
_MOST_LOSSES = 20
_GREATEST = 2**63 - 1
_TRACEPARENT = re.compile(r"[!-~]{1,64}")
_LATEST = 253_402_300_799_999_999  # the last microsecond that a datetime knows


class _Row(NamedTuple):
    sequence: int
    lane: int
    received: int
    subject: str | None
    data: bytes


class Salvage:
    """Reads the file at `path`, of that publisher, as far as it goes.

    `saved` records were carried over, `renumbered` of them under new numbers; `losses` say what
    could not be read.
    """

    def __init__(self, path: Path, workspace: str, publisher: str) -> None:
        self.saved = 0
        self.renumbered = 0
        self.losses: list[str] = []
        self._path = path
        self._owner = (workspace, publisher)
        self._sql = statements.load()
        self._lanes: dict[int, Lane] = {}
        self._epochs: list[Epoch] = []
        self._head = 0
        self._checkpoint = 0

    @property
    def knows_epochs(self) -> bool:
        """Whether core can be told of the epochs that the file had."""
        return bool(self._epochs)

    def rebuild(self, target: Path, now: int) -> None:
        """Make a journal at `target`, where no file is, of what can be read; `now` in microseconds.

        Raises JournalMismatch where the file says that it is another publisher's, JournalFull, or
        JournalBroken where it cannot be read at all.
        """
        connection = open_file(target)
        try:
            lengthen(self._path)
            with translated(target):
                with transplanted(self._path, target, connection) as path:
                    self._rescue(path, connection, now)
                self._write_books(connection)
        finally:
            connection.close()

    def _rescue(self, path: Path, connection: sqlite3.Connection, now: int) -> None:
        try:
            with reading(path) as source:
                source.text_factory = bytes
                self._read_books(source)
                self._copy(source, connection, now)
        except JournalDamaged as error:
            self._lost(f"all of it ({error})")

    def _read_books(self, source: sqlite3.Connection) -> None:
        for workspace, publisher, checkpoint, attempted in self._table(source, "identity"):
            owner = (_text(workspace), _text(publisher))
            if None not in owner and owner != self._owner:
                raise JournalMismatch(
                    f"{self._path} is damaged, and belongs to publisher {owner[1]!r} of workspace "
                    f"{owner[0]!r}. Correct the names in streams.toml, or move the file away."
                )
            self._checkpoint = max(self._checkpoint, _number(checkpoint))
            self._head = max(self._head, _number(attempted))
        for (head,) in self._table(source, "last_sequence"):
            self._head = max(self._head, _number(head))
        for id_, *names, timestamped in self._table(source, "lanes"):
            type_, provider, stream = (_text(name) for name in names)
            if type_ is None or provider is None or stream is None:
                continue
            lane = Lane(type_, provider, stream, bool(timestamped))
            if lane not in self._lanes.values():
                self._lanes[id_] = lane
        self._epochs = list(_sound(self._table(source, "epochs")))
        self._head = max([self._head, *(epoch.head or 0 for epoch in self._epochs)])

    def _copy(self, source: sqlite3.Connection, target: sqlite3.Connection, now: int) -> None:
        for id_, lane in self._lanes.items():
            target.execute("INSERT INTO lanes VALUES (?, ?, ?, ?, ?)", (id_, *lane))
        strays = 0
        for rows in self._groups(source):
            kept = [row for row in rows if self._knows(row.sequence)]
            strays += len(rows) - len(kept)
            self._insert(target, kept, self._traces(source, kept))
        for epoch in self._epochs:
            head = self._head if epoch.head is None else epoch.head
            _add_epoch(target, epoch.epoch, epoch.first, head)
        self._copy_dropped(source, target)
        if strays:
            self._renumber(source, target, now)

    def _renumber(self, source: sqlite3.Connection, target: sqlite3.Connection, now: int) -> None:
        """Give the records of lost epochs numbers above all others, in an epoch of their own."""
        first = self._head + 1
        for rows in self._groups(source):
            strays = [row for row in rows if not self._knows(row.sequence)]
            traces = self._traces(source, strays)
            numbers = {row.sequence: self._head + at for at, row in enumerate(strays, start=1)}
            numbered = [row._replace(sequence=numbers[row.sequence]) for row in strays]
            self._insert(target, numbered, {numbers[old]: text for old, text in traces.items()})
            self.renumbered += len(numbered)
        _add_epoch(target, new_epoch(now), first, self._head)

    def _insert(
        self, target: sqlite3.Connection, rows: list[_Row], traces: Mapping[int, str]
    ) -> None:
        target.execute("BEGIN")
        target.executemany(statements.insert(1), rows)
        target.executemany("INSERT INTO traces VALUES (?, ?)", traces.items())
        for row in rows:
            if self._lanes[row.lane].type == UNDELIVERABLE:
                self._insert_report(target, row)
        target.execute("COMMIT")
        self.saved += len(rows)
        self._head = max([self._head, *(row.sequence for row in rows)])

    def _insert_report(self, target: sqlite3.Connection, row: _Row) -> None:
        """Note which number a report settles, if it is one of ours."""
        try:
            body = Undeliverable.model_validate_json(row.data)
        except ValidationError:
            return
        if self._knows(body.sequence):
            target.execute(
                "INSERT OR IGNORE INTO reports VALUES (?, ?)", (row.sequence, body.sequence)
            )

    def _copy_dropped(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        for first, last in self._table(source, "dropped"):
            if (
                isinstance(first, int)
                and isinstance(last, int)
                and self._knows(first)
                and first <= last
            ):
                target.execute("INSERT OR IGNORE INTO dropped VALUES (?, ?)", (first, last))

    def _write_books(self, target: sqlite3.Connection) -> None:
        target.execute("BEGIN")
        target.execute("DELETE FROM reports WHERE target IN (SELECT sequence FROM records)")
        target.execute(self._sql["remember_identity"], self._owner)
        target.execute(self._sql["checkpoint_number"], (self._checkpoint,))
        target.execute(self._sql["attempted"], (self._head, self._head))
        target.execute("DELETE FROM sqlite_sequence WHERE name = 'records'")
        target.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('records', ?)", (self._head,)
        )
        target.execute("COMMIT")

    def _knows(self, sequence: int) -> bool:
        return any(
            epoch.first <= sequence <= (_GREATEST if epoch.head is None else epoch.head)
            for epoch in self._epochs
        )

    def _table(self, source: sqlite3.Connection, name: str) -> list[Any]:
        """Return the rows of a small statement, as many as can be read."""
        rows: list[Any] = []
        try:
            rows.extend(source.execute(self._sql[name]))
        except sqlite3.Error as error:
            self._lost(f"{name} after {len(rows)} rows ({error})")
        return rows

    def _groups(self, source: sqlite3.Connection) -> Iterator[list[_Row]]:
        """Yield every record that can be read, in groups."""
        group: list[_Row] = []
        size = 0
        for row in readable(source, self._lost):
            if (sound := self._row(row)) is not None:
                group.append(sound)
                size += len(sound.data)
            if len(group) == _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
                yield group
                group, size = [], 0
        if group:
            yield group

    def _traces(self, source: sqlite3.Connection, rows: Sequence[_Row]) -> dict[int, str]:
        """Return the traceparents of `rows` that can be read; the others are no loss to speak of."""
        numbers = {row.sequence for row in rows}
        found: dict[int, str] = {}
        if not rows:
            return found
        span = (rows[0].sequence, rows[-1].sequence)
        with suppress(sqlite3.Error):  # a file of an older format has none at all
            for sequence, raw in source.execute(self._sql["traced_rows"], span):
                text = _text(raw)
                if sequence in numbers and text is not None and _TRACEPARENT.fullmatch(text):
                    found[sequence] = text
        return found

    def _row(self, row: tuple[Any, ...]) -> _Row | None:
        """Return the row, if it makes a record."""
        sequence, lane, received, subject, data = row
        text = None if subject is None else _text(subject)
        sound = (
            lane in self._lanes
            and isinstance(received, int)
            and 0 <= received <= _LATEST
            and (subject is None or text is not None)
            and isinstance(data, bytes)
            and len(data) <= MAX_DATA_BYTES
            and 0 < sequence < _GREATEST
        )
        if not sound:
            self._lost(f"record {sequence}")
            return None
        return _Row(sequence, lane, received, text, data)

    def _lost(self, what: str) -> None:
        if what not in self.losses and len(self.losses) <= _MOST_LOSSES:
            self.losses.append(what if len(self.losses) < _MOST_LOSSES else "and more")


def readable(source: sqlite3.Connection, lost: Callable[[str], None]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `records` by number, stepping over what cannot be read.

    `lost` is told of each stretch. A seek past damaged pages succeeds where the way there leads
    around them.
    """
    after = 0
    while True:
        try:
            for row in _rising(source.execute(_RECORDS, (after,)), after, lost):
                yield row
                after = row[0]
        except sqlite3.Error as error:
            resumed = _next_readable(source, after)
            lost(f"records {after + 1} to {'the end' if resumed is None else resumed} ({error})")
            if resumed is None:
                return
            after = resumed
        else:
            return


def _rising(
    rows: Iterable[tuple[Any, ...]], after: int, lost: Callable[[str], None]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows whose numbers rise beyond `after`, as those of a sound tree do.

    A number that the following row contradicts is damaged: without this look ahead, one that is
    too high would cost every record up to it.
    """
    held = None
    try:
        for row in rows:
            if held is not None and row[0] > held[0]:
                yield held
                after = held[0]
            elif row[0] <= after:  # a damaged tree may come back to where it was
                lost(f"record {row[0]}, out of order")
                continue
            elif held is not None:
                lost(f"record {held[0]}, out of order")
            held = row
    except sqlite3.Error:
        if held is not None:
            yield held
        raise
    if held is not None:
        yield held


_RECORDS = "SELECT sequence, lane, received, subject, data FROM records WHERE sequence > ? ORDER BY sequence"


def _next_readable(source: sqlite3.Connection, after: int) -> int | None:
    """Return the lowest number beyond `after` that was found from which reading goes on."""
    low, step = after, 1
    while not _can_read(source, after + step):
        low = after + step
        step *= 2
        if after + step >= _GREATEST:
            return None
    high = after + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _can_read(source, middle) else (middle, high)
    return high


def _can_read(source: sqlite3.Connection, after: int) -> bool:
    try:
        source.execute(_RECORDS, (after,)).fetchone()
    except sqlite3.Error:
        return False
    return True


def _sound(rows: list[Any]) -> Iterator[Epoch]:
    """Yield the epochs that make sense, by number, none overlapping the one before."""
    reached = 0
    found = []
    for id_, first, head in rows:
        try:
            epoch = Epoch(UUID(_text(id_)), int(first), None if head is None else int(head))
        except (TypeError, ValueError):
            continue
        found.append(epoch)
    for epoch in sorted(found, key=lambda one: one.first):
        if epoch.first > reached and (epoch.head is None or epoch.head >= epoch.first - 1):
            yield epoch
            reached = epoch.first - 1 if epoch.head is None else epoch.head


def _add_epoch(target: sqlite3.Connection, epoch: UUID, first: int, head: int) -> None:
    target.execute(
        "INSERT OR IGNORE INTO epochs (epoch, first, head) VALUES (?, ?, ?)",
        (str(epoch), first, head),
    )


def _text(value: object) -> str | None:
    try:
        return value.decode() if isinstance(value, bytes) else None
    except UnicodeDecodeError:
        return None


def _number(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < _GREATEST else 0
