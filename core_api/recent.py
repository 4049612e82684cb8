"""A small memory of what was looked up: bounded in number, and in age."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The `most` newest entries, none older than `seconds` by `clock` (monotonic, in seconds)."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str) -> T | None:
        """Return what was put under `name`, unless it has grown too old."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        put, value = entry
        if self._clock() - put >= self._seconds:
            del self._entries[name]
            return None
        return value

    def put(self, name: str, value: T) -> None:
        """Remember `value` as the newest entry; the oldest one makes room for it."""
        self._entries.pop(name, None)
        self._entries[name] = (self._clock(), value)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
