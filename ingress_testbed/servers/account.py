"""The account that a server runs under: Postgres refuses to be run by root."""

import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_READ = (stat.S_IRUSR, stat.S_IRGRP, stat.S_IROTH)
_EXECUTE = (stat.S_IXUSR, stat.S_IXGRP, stat.S_IXOTH)


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user of this machine."""

    name: str
    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Say whether the account may enter every directory above `path` and read `path`."""
        parents_open = all(self._may(parent, _EXECUTE) for parent in path.absolute().parents)
        return parents_open and self._may(path, _READ)

    def _may(self, path: Path, bits: tuple[int, int, int]) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        of_user, of_group, of_others = bits
        if status.st_uid == self.uid:
            return bool(status.st_mode & of_user)
        if status.st_gid == self.gid:
            return bool(status.st_mode & of_group)
        return bool(status.st_mode & of_others)

    def let_in(self, directory: Path) -> None:
        """Let the account pass through `directory`, whose owner we are, without listing it."""
        if not self._may(directory, _EXECUTE):
            os.chown(directory, -1, self.gid)
            directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IXGRP)

    def own(self, paths: Iterable[Path]) -> None:
        """Hand `paths` over to the account."""
        for path in paths:
            os.chown(path, self.uid, self.gid)


def unprivileged() -> Account | None:
    """Return the account to start servers under, or None where ours will do (it is not root's)."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account("nobody", nobody.pw_uid, nobody.pw_gid)
