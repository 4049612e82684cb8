"""Peak resident memory of processes, by name."""

from collections.abc import Mapping
from pathlib import Path

import psutil


class PeakMemory:
    """The greatest resident set that any process in a tree has had, in bytes.

    Linux keeps the peak of each process (VmHWM, proc(5)), so a look now and then misses nothing of
    the processes that live on; elsewhere the peak is the greatest that was seen.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, int] = {}

    def look(self, roots: Mapping[str, int]) -> None:
        """Read the trees below the pids `roots`. Processes that are gone keep their peak."""
        for name, pid in roots.items():
            found = max((_peak(process) for process in _tree(pid)), default=0)
            self.by_name[name] = max(self.by_name.get(name, 0), found)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _peak(process: psutil.Process) -> int:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:  # no /proc here, or no such process any more
        return _resident(process)
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields.get("VmHWM", "0 kB").split()[0]) * 1024


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
