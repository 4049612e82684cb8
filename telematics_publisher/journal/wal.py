"""The write-ahead log as a file (sqlite.org/fileformat2.html, 4): what SQLite does not read of it.

SQLite reads a log up to the first frame that does not fit, which after a power cut is the end of
what was written. Each commit of a journal is on disk before the next one begins: if there are two
commits or more beyond that frame, the log was damaged later.
"""

import sqlite3
import struct
from pathlib import Path

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_INDEX_HEADER = 48
_MAX_FRAME = struct.Struct("=I")
_MAX_FRAME_AT = 16
_MAGIC = (0x377F0682, 0x377F0683)
_WORD = 0xFFFFFFFF
_CERTAIN = 2


def torn_commits(connection: sqlite3.Connection, path: Path) -> int:
    """Return how many commits lie in the log of `path` that `connection` cannot read.

    0 where all is well, or where a power cut explains it. `connection` must have read something.
    What it can read moves into the database, unless it is for reading only.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.is_file() or not log.stat().st_size:
        return 0
    index = path.with_name(f"{path.name}-shm")
    ((locking,),) = connection.execute("PRAGMA locking_mode").fetchall()
    # A shared index tells in its header. Where locking is exclusive, SQLite keeps its own in memory,
    # and a file is what a reader left that was killed.
    if locking == "normal" and index.is_file():
        (readable,) = _MAX_FRAME.unpack_from(index.read_bytes()[:_INDEX_HEADER], _MAX_FRAME_AT)
    else:
        ((_, readable, _),) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    ((page_size,),) = connection.execute("PRAGMA page_size").fetchall()
    commits = _commits_beyond(log, max(0, readable), _FRAME.size + page_size)
    return commits if commits >= _CERTAIN else 0


def _commits_beyond(log: Path, readable: int, size: int) -> int:
    """Return the commits of the log's current round after its first `readable` frames of `size`.

    The header names the round. Where the header itself is damaged, the first frame does.
    """
    with log.open("rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return 0
        sound = _is_sound(head)
        _, _, _, _, *round_, _, _ = _HEADER.unpack(head)
        position = _HEADER.size + readable * size
        commits = 0
        while True:
            file.seek(position)
            head = file.read(_FRAME.size)
            if len(head) < _FRAME.size:
                return commits
            _, pages, *rest = _FRAME.unpack(head)
            if not sound:
                round_, sound = rest[:2], True
            commits += bool(pages) and rest[:2] == round_
            position += size


def _is_sound(head: bytes) -> bool:
    """Tell whether a log's header is as it was written, by its checksum."""
    magic, *_ = _HEADER.unpack(head)
    if magic not in _MAGIC:
        return False
    words = struct.unpack(f"{'>' if magic & 1 else '<'}6I", head[:24])
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = first + even + second & _WORD
        second = second + odd + first & _WORD
    return (first, second) == struct.unpack(">2I", head[24:])
