"""What was really sent: one entry a websocket message, in the order of sending."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from ingress_contracts.envelope import MAX_DATA_BYTES


class Sent(NamedTuple):
    """One message to one key. `habits` are those that made it what it is.

    Of a message above MAX_DATA_BYTES the log keeps the size only: `data` is None.
    """

    key: str
    habits: tuple[str, ...]
    size: int
    data: bytes | None


SentTo: TypeAlias = Callable[[Sequence[Sent]], object]
"""Takes note of what was just sent. `list.extend` will do."""


def sent(key: str, habits: tuple[str, ...], data: bytes) -> Sent:
    """Return the entry of a message."""
    return Sent(key, habits, len(data), data if len(data) <= MAX_DATA_BYTES else None)


class SentLog:
    """Writes entries to a file, a JSON object a line; each group is flushed. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, entries: Sequence[Sent]) -> None:
        """Append `entries`."""
        self._file.writelines(f"{_line(entry)}\n" for entry in entries)
        self._file.flush()


def read_sent(path: Path) -> Iterator[Sent]:
    """Yield the entries of a SentLog's file, one at a time."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            data = base64.b64decode(entry["data"]) if entry["data"] is not None else None
            if "text" in entry:
                data = entry["text"].encode()
            yield Sent(entry["key"], tuple(entry["habits"]), entry["size"], data)


def _line(entry: Sent) -> str:
    key, habits, size, data = entry
    fields: dict[str, object] = {"key": key, "habits": habits, "size": size, "data": None}
    if data is not None:
        try:
            fields["text"] = data.decode()
        except UnicodeDecodeError:
            fields["data"] = base64.b64encode(data).decode()
    return json.dumps(fields, ensure_ascii=False)
