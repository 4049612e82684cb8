"""The journal as a file: opening it, telling damage from other trouble, translating errors."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from telematics_publisher.errors import (
    JournalBroken,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalInUse,
    JournalMismatch,
)
from telematics_publisher.journal import statements
from telematics_publisher.journal.wal import torn_commits

VERSION = 3
APPLICATION_ID = 0x54494A4C  # "TIJL"
_SINCE = {"dropped": 2, "traces": 3}
_TABLES = frozenset({"records", "lanes", "epochs", "reports", "identity", *_SINCE})
_PRAGMAS = ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL")

_SQLITE = b"SQLite format 3\0"
_HEAD = 100
_STAMPED = slice(68, 72)
"""Where a database's header has its application id: https://sqlite.org/fileformat2.html, 1.3."""

_SMALLEST = 512  # bytes of a database's page, at the least; SQLite takes less for a new file

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_UNREADABLE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)


def open_file(path: Path) -> sqlite3.Connection:
    """Open or create the file at `path` for this process alone, and make sure that it is sound.

    Raises JournalInUse, JournalMismatch (a newer version's), JournalDamaged, JournalFull, or
    JournalBroken where it cannot be used for another reason. Nothing is lost then: see `kept_log`.
    """
    if path.is_file() and 0 < path.stat().st_size < _SMALLEST:
        raise JournalDamaged(f"it has {path.stat().st_size} bytes only")
    with translated(path):
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        with translated(path):
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            _check(connection, path)
            connection.executescript(
                f"BEGIN IMMEDIATE; {statements.load()['schema']}; PRAGMA user_version = {VERSION};"
                f"PRAGMA application_id = {APPLICATION_ID}; COMMIT"
            )
    except JournalDamaged:
        _keep_log(path)
        connection.close()
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def kept_log(path: Path) -> Path:
    """Return where the write-ahead log of a damaged file is kept: closing the file removes it."""
    return path.with_name(f"{path.name}.found-wal")


def _keep_log(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size and not kept_log(path).exists():
        shutil.copyfile(log, kept_log(path))


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file at `path` to read it as it is, leaving every byte of it in place.

    Raises the same errors as `open_file`, from the body too.
    """
    if not path.is_file():
        raise JournalBroken(f"{path} is no file. Name a journal, such as journals/acme.journal.")
    log, index = (path.with_name(f"{path.name}-{part}") for part in ("wal", "shm"))
    in_log = log.is_file() and log.stat().st_size > 0  # always, while a process has it open
    uri = f"{path.absolute().as_uri()}?{'mode=ro' if in_log else 'immutable=1'}"
    had_index = index.exists()
    with translated(path):
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)
            with closing(connection):
                yield connection
        finally:
            if in_log and not had_index:
                index.unlink(missing_ok=True)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into JournalErrors about the file at `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(path, error) from error


def tables_of(version: int) -> frozenset[str]:
    """Return the tables that a journal of this format has; the next opening adds the others."""
    return frozenset(name for name in _TABLES if _SINCE.get(name, 1) <= version)


def is_journal(path: Path) -> bool:
    """Tell by its name or its first bytes whether the file at `path` is, or was, a journal."""
    if ".journal" in path.name:
        return True
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.startswith(_SQLITE) and head[_STAMPED] == APPLICATION_ID.to_bytes(4, "big")


def is_full(error: sqlite3.Error) -> bool:
    """Tell whether a write found no room: disk, quota or file size limit.

    SQLite has undone the transaction then, so that it may be tried again, whatever the reason of
    the failed write. After a failed fsync that would be wrong: nobody knows what is on disk.
    """
    code = error_code(error)
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_WRITE


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether what SQLite met is in the file, and not around it."""
    code = error_code(error)
    return code & 0xFF in _DAMAGED or code in _UNREADABLE


def error_code(error: sqlite3.Error) -> int:
    """Return SQLite's extended result code, 0 where Python alone is to blame."""
    return getattr(error, "sqlite_errorcode", 0)


def stamp(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the application id and the version of the file."""
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return application, version


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application, version = stamp(connection)
    sql = statements.load()
    tables = {name for (name,) in connection.execute(sql["tables"])}
    if torn := torn_commits(connection, path):
        raise JournalDamaged(f"its write-ahead log is torn: {torn} commits cannot be read")
    if kept_log(path).exists():
        raise JournalDamaged("an earlier opening found its write-ahead log damaged")
    if (application, version) == (0, 0) and not tables:
        return  # it was just made
    if version > VERSION and application == APPLICATION_ID:
        raise JournalMismatch(
            f"{path} was written by a newer version (format {version}, this one reads "
            f"{VERSION}). Upgrade telematics-ingress, or name another journal directory."
        )
    if not 1 <= version <= VERSION:
        raise JournalDamaged(f"it has format {version} of application {application:#x}: no journal")
    if missing := tables_of(version) - tables:
        raise JournalDamaged(f"tables are missing: {', '.join(sorted(missing))}")
    ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise JournalDamaged(" ".join(str(found).split()))
    if not connection.execute(sql["identity"]).fetchall() and _was_used(connection):
        raise JournalDamaged("it does not say whose journal it is")
    ((strays,),) = connection.execute(sql["stray_records"]).fetchall()
    if strays:
        raise JournalDamaged("it has records that no epoch of it handed out")


def _was_used(connection: sqlite3.Connection) -> bool:
    """Tell whether the file ever had an epoch; a crash can leave a new one without an owner."""
    return bool(connection.execute("SELECT 1 FROM epochs LIMIT 1").fetchall())


def _translate(path: Path, error: sqlite3.Error) -> JournalError:
    if error_code(error) & 0xFF in _BUSY:
        return JournalInUse(
            f"{path} is open in another process. One process serves a workspace: stop the other "
            "one, or give this one a journal directory and a publisher id of its own."
        )
    if is_damage(error):
        return JournalDamaged(str(error))
    if is_full(error):
        return JournalFull(f"{path} cannot be written, the disk has no room: {error}. Free some.")
    return JournalBroken(
        f"{path} cannot be opened as a journal: {error}. Check that the directory exists, and that "
        "this user may write there."
    )
