"""Can the journals be written, and are they free for a publisher? They are left as they are."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingress_runtime.findings import Finding, fail, ok, warn
from telematics_publisher.errors import JournalError, JournalInUse
from telematics_publisher.journal import report
from telematics_publisher.streams import Workspace
from telematics_publisher.words import counted

SUBJECT = "journals"
_CHOOSE = (
    "Make it a directory on a local disk that this user may write to, or name another one with "
    "PUBLISHER_JOURNAL_DIR."
)


def journals(
    directory: Path, workspaces: Iterable[Workspace], *, before_start: bool
) -> Iterator[Finding]:
    """Look at the directory, then at the journal of each workspace.

    Before a start, a journal in use is in the way, and records that wait in one will be sent. Else
    a publisher is expected to run, and they wait for nobody.
    """
    yield _directory(directory)
    for workspace in workspaces:
        path = directory / f"{workspace.name}.journal"
        if path.exists():
            yield _journal(path, workspace, before_start=before_start)


def _directory(directory: Path) -> Finding:
    """Try to write where the journals are, or where their directory is to be made."""
    there = directory.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        reason = error.strerror if there == directory.absolute() else f"{there}: {error.strerror}"
        return fail(SUBJECT, f"{directory} cannot be written to: {reason}", _CHOOSE)
    if there == directory.absolute():
        return ok(SUBJECT, f"{directory} can be written to")
    return ok(SUBJECT, f"{directory} is not there yet and can be made")


def _journal(path: Path, workspace: Workspace, *, before_start: bool) -> Finding:
    subject = f"journal of {workspace.name}"
    try:
        (owner_workspace, owner), waiting = report.waiting(path)
    except JournalInUse:
        found = f"{path} is in use by a publisher that runs"
        if not before_start:
            return ok(subject, found)
        return warn(subject, found, "Stop that publisher before you start another one.")
    except JournalError as error:
        return fail(
            subject,
            f"{path} cannot be read as a journal: {error}",
            "Do not delete it: what it holds has not reached core. A publisher that starts sets a "
            "damaged file aside and says what it could save.",
        )
    if (owner_workspace, owner) != (workspace.name, workspace.publisher):
        return fail(
            subject,
            f"{path} belongs to publisher {owner} of workspace {owner_workspace}",
            "Correct the names in streams.toml, or move the file away once it is drained.",
        )
    found = (
        f"{path} is free; {counted(waiting, 'record')} in it {'waits' if waiting == 1 else 'wait'} "
        "for core"
    )
    if waiting and not before_start:
        return warn(
            subject,
            f"{found}, and nobody sends",
            "Start its publisher (`ingress publisher run`), or where that is gone for good, send "
            "them with `ingress journal drain`.",
        )
    return ok(subject, found)
