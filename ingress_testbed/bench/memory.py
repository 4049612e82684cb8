"""The resident memory of a process tree while it works, in thirds of that time."""

import asyncio
from dataclasses import dataclass, field
from statistics import mean

import psutil

_EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Thirds:
    """Mean bytes in the middle and the last third, and the peak."""

    middle: float
    last: float
    peak: int


@dataclass(slots=True)
class Watch:
    """Samples while it is switched on."""

    pid: int
    on: bool = False
    samples: list[int] = field(default_factory=list)

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            if self.on:
                self.samples.append(_resident(self.pid))
            await asyncio.sleep(_EVERY_SECONDS)

    def thirds(self) -> Thirds:
        """Return what the samples say."""
        third = len(self.samples) // 3
        middle, last = self.samples[third : 2 * third], self.samples[2 * third :]
        return Thirds(mean(middle), mean(last), max(self.samples))


def _resident(pid: int) -> int:
    root = psutil.Process(pid)
    return max(int(each.memory_info().rss) for each in (root, *root.children(recursive=True)))
