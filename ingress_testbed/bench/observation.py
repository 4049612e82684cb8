"""Where the time goes while consumers work: what their connections do, and whose CPU it costs.

Looked at from outside: pg_stat_activity tells which statement a connection is at, or that it waits
for its client. That needs no extension, and costs next to nothing.
"""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from core_ingest.store.queries import load

_LOOK_SECONDS = 0.01
_LOOKS_A_READING = 25
_LEAST_SHARE = 0.005
_LONGEST_NAME = 24
_STATEMENTS = {
    text: name
    for file in ("sql/ingest.sql", "sql/identities.sql")
    for name, text in load("core_ingest.store", file).items()
}
_CONNECTIONS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
_ACTIVITY = """
SELECT state, query, wait_event FROM pg_stat_activity
WHERE backend_type = 'client backend' AND state IS NOT NULL AND pid <> ALL ($1::int4[])
"""
_PROGRAMS = {"postgres": "Postgres", "java": "Kafka"}
_OURSELVES = "benchmark"


class Observation:
    """Looks at connections and processes that begin after it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def of(self, title: str, records: int) -> AsyncIterator[None]:
        """Observe how `records` are stored inside, and print it."""
        before = [row["pid"] for row in await self._connection.fetch(_CONNECTIONS)]
        activity: list[list[str]] = []
        cpu = CpuTimes()
        looking = asyncio.create_task(self._look(before, activity, cpu))
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        _show(title, activity)
        spent = ", ".join(f"{name} {each / records * 1e6:.1f}" for name, each in cpu.spent())
        Console().print(f"CPU time meanwhile, in µs a record: {spent}")

    async def _look(self, before: list[int], activity: list[list[str]], cpu: "CpuTimes") -> None:
        """Look again and again, from the first statement on."""
        while True:
            rows = await self._connection.fetch(_ACTIVITY, before)
            gated = any(row["wait_event"] == "relation" for row in rows)  # while members join
            if not gated and (activity or any(row["state"] == "active" for row in rows)):
                if rows and len(activity) % _LOOKS_A_READING == 0:
                    cpu.read()
                activity.append([_named(*row) for row in rows])
            await asyncio.sleep(_LOOK_SECONDS)


class CpuTimes:
    """The CPU time of the servers and the consumers below this process, between two readings."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = defaultdict(float)
        self._last: dict[tuple[str, int], float] = {}

    def read(self) -> None:
        """Take note of all CPU times."""
        times: dict[tuple[str, int], float] = {(_OURSELVES, 0): sum(os.times()[:2])}
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                name = _PROGRAMS.get(process.name(), "consumers")
                spent = process.cpu_times()
                times[name, process.pid] = spent.user + spent.system
        for key, seconds in times.items():
            self._spent[key[0]] += seconds - self._last.get(key, seconds)
        self._last = times

    def spent(self) -> list[tuple[str, float]]:
        """Return the seconds by whose they are."""
        return sorted(self._spent.items())


def _named(state: str, query: str, wait: str | None) -> str:
    if state == "idle":
        return ""
    if state != "active":
        return "between statements: the consumer"
    name = _STATEMENTS.get(query) or query.partition("(")[0].strip()[:_LONGEST_NAME]
    return f"{name}: waits for the consumer" if wait == "ClientRead" else name


def _show(title: str, activity: list[list[str]]) -> None:
    """Print shares of the time between the first and the last busy moment."""
    while activity and not any(activity[-1]):
        activity.pop()
    counts = Counter(name for found in activity for name in found if name)
    table = Table(title=f"where the time goes: {title}, {len(activity):,} looks")
    table.add_column("their connections are at")
    table.add_column("of the time", justify="right")
    for name, count in counts.most_common():
        if count >= _LEAST_SHARE * len(activity):
            table.add_row(name, f"{count / len(activity):.1%}")
    idle = sum(1 for found in activity if not any(found))
    table.add_row("in no transaction at all", f"{idle / max(1, len(activity)):.1%}")
    Console().print(table)
