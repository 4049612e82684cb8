"""Opening a journal whatever has happened to its file.

A damaged file is set aside as `{name}.damaged-{time}`, with its write-ahead log, and a new one takes
its place that holds what could be read. The steps, each of which a crash may interrupt:

1. `{name}.building` is filled. A crash leaves the damaged file in place: it begins anew.
2. It becomes `{name}.rebuilt-{time}`: from here on the next opening finishes what follows.
3. The damaged file and its log are renamed.
4. The rebuilt file takes its name.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prometheus_client import Counter

from telematics_publisher.errors import JournalBroken, JournalDamaged, JournalInUse
from telematics_publisher.journal.file import kept_log, open_file
from telematics_publisher.journal.salvage import Salvage
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.records import instant

DAMAGED = Counter(
    "publisher_journals_damaged_total", "Journal files found damaged at opening and set aside."
)

_REBUILT = ".rebuilt-"

_LOST_NUMBERS = "numbers that were lost, and that core does not have, show as unaccounted there"
_LOST_EPOCHS = (
    "the epochs were lost too: core goes on showing what was pending in them as in_flight, "
    "until an operator closes it as lost"
)

log = structlog.get_logger()


def open_store(path: Path, *, workspace: str, publisher: str, now: int) -> JournalStore:
    """Open or create the journal at `path`, which begins a new epoch; `now` in microseconds.

    Raises JournalInUse, JournalMismatch, JournalFull, or JournalBroken where it cannot be used.
    """
    if _rebuilt(path):
        with _locked(path.parent):
            _finish(path)
    try:
        return JournalStore.open(path, workspace=workspace, publisher=publisher, now=now)
    except JournalDamaged as damage:
        with _locked(path.parent):
            _recover(path, workspace, publisher, now, str(damage))
    try:
        return JournalStore.open(path, workspace=workspace, publisher=publisher, now=now)
    except JournalDamaged as error:
        raise JournalBroken(
            f"{path} was rebuilt and is damaged again: {error}. Replace the disk."
        ) from error


def _recover(path: Path, workspace: str, publisher: str, now: int, reason: str) -> None:
    """Replace a file by what can be read of it, unless another process has done so."""
    with suppress(JournalDamaged):
        open_file(path).close()
        return
    time = _free_time(path, instant(now))
    building = path.with_name(f"{path.name}.building")
    _remove(building)
    _remove(path.with_name(f"{path.name}.transplanted"))
    salvage = Salvage(path, workspace, publisher)
    salvage.rebuild(building, now)
    building.rename(path.with_name(path.name + _REBUILT + time))
    _sync(path.parent)
    aside = _finish(path)
    DAMAGED.inc()
    log.error(
        "journal_damaged",
        workspace=workspace,
        journal=str(path),
        reason=reason,
        set_aside=str(aside),
        saved_records=salvage.saved,
        saved_under_new_numbers=salvage.renumbered,
        unreadable=salvage.losses,
        consequence=_LOST_NUMBERS if salvage.knows_epochs else _LOST_EPOCHS,
        remedy="look after the disk, and keep the file that was set aside",
    )


def _finish(path: Path) -> Path | None:
    """Put a rebuilt file in place; return where the damaged one went."""
    aside = None
    for rebuilt in _rebuilt(path):
        time = rebuilt.name.removeprefix(path.name + _REBUILT)
        aside = path.with_name(f"{path.name}.damaged-{time}")
        wal = path.with_name(f"{path.name}-wal")
        for found in (wal, kept_log(path)):  # no log may wait for the new file; the kept one counts
            if found.exists():
                found.rename(aside.with_name(f"{aside.name}-wal"))
        if path.exists():
            path.rename(aside)
        _sync(path.parent)
        rebuilt.rename(path)
        _sync(path.parent)
    return aside


def _rebuilt(path: Path) -> list[Path]:
    if not path.parent.is_dir():
        return []
    return sorted(one for one in path.parent.iterdir() if one.name.startswith(path.name + _REBUILT))


def _free_time(path: Path, now: datetime) -> str:
    """Return the instant as text, such that no file was set aside under it."""
    time = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    taken, count = time, 1
    while path.with_name(f"{path.name}.damaged-{taken}").exists():
        count += 1
        taken = f"{time}-{count}"
    return taken


def _remove(building: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        building.with_name(building.name + suffix).unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Bring renames to the disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let no other process recover a journal of this directory meanwhile."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise JournalInUse(
            f"another process is recovering a journal in {directory}. Let it finish, then stop it "
            "or give this one a directory of its own."
        ) from error
    finally:
        os.close(handle)
