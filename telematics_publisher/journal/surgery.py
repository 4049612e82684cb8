"""A damaged file made readable: what SQLite wants of it before it reads a single row."""

import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from os import SEEK_END
from pathlib import Path

from telematics_publisher.errors import JournalDamaged
from telematics_publisher.journal import statements
from telematics_publisher.journal.file import kept_log, reading

_MAGIC = b"SQLite format 3\0"
_HEADER = struct.Struct(">16sH10xI")  # sqlite.org/fileformat2.html, 1.3
_PAGE = 4_096
_COUNTS = struct.Struct(">3I")  # pages of the file, first and number of those that are free
_COUNTS_AT = 28
_CHANGE = slice(24, 28)
_VALID_FOR = slice(92, 96)


def lengthen(path: Path) -> None:
    """Give a file that was cut short the length that its header says: SQLite reads no other."""
    with path.open("r+b") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return
        magic, page_size, pages = _HEADER.unpack(head)
        length = page_size * pages
        if magic == _MAGIC and page_size == _PAGE and file.seek(0, SEEK_END) < length:
            file.truncate(length)


@contextmanager
def transplanted(path: Path, donor: Path, connection: sqlite3.Connection) -> Iterator[Path]:
    """Yield a file to read instead of `path`: itself, or a copy with a first page that is sound.

    The first page says which tables there are and where they begin, and is written most often. All
    journals begin alike, so that of `donor`, a new one behind `connection`, fits.
    """
    if _has_tables(path):
        yield path
        return
    copy = path.with_name(f"{path.name}.transplanted")
    log = copy.with_name(f"{copy.name}-wal")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    try:
        shutil.copyfile(path, copy)
        _replace_first_page(copy, donor.read_bytes()[:_PAGE])
        for found in (path.with_name(f"{path.name}-wal"), kept_log(path)):
            if found.exists():
                shutil.copyfile(found, log)
        yield copy
    finally:
        copy.unlink(missing_ok=True)
        log.unlink(missing_ok=True)


def _has_tables(path: Path) -> bool:
    try:
        with reading(path) as source:
            source.execute(statements.load()["tables"]).fetchall()
    except JournalDamaged:
        return False
    return True


def _replace_first_page(path: Path, donated: bytes) -> None:
    page = bytearray(donated)
    pages = path.stat().st_size // _PAGE
    _COUNTS.pack_into(page, _COUNTS_AT, pages, 0, 0)
    page[_VALID_FOR] = page[_CHANGE]
    with path.open("r+b") as file:
        file.write(page)
