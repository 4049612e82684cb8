"""The numbers of workspaces, assets and signals, created beforehand in transactions of their own.

They never change, so a process may remember them. Creating them inside of the handler's
transaction would let two batches wait for each other.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeVar
from uuid import UUID

from core_ingest.errors import translated
from core_ingest.signals.labels import former_names
from core_ingest.store.database import Connection, Connections
from core_ingest.store.queries import load
from ingress_contracts.content_id import content_id

AssetName: TypeAlias = tuple[str, str, str]
"""Workspace, provider and external id."""

SignalName: TypeAlias = tuple[str, str]
"""Provider and name: a VSS path or `{provider}.{label}`."""

_SQL = load("core_ingest.store", "sql/identities.sql")
_REMEMBERED = 200_000
Name = TypeVar("Name", str, AssetName, SignalName)


def vehicle_id(workspace: str, provider: str, external_id: str) -> UUID:
    """Return the id that a vehicle has from the first day on: a UUIDv8 of these three."""
    return content_id("telematics.vehicle", provider, workspace, external_id.encode())


class Identities:
    """Looks up and creates; remembers what it found, up to 200,000 of a kind.

    A mapping that was returned is only ever added to: whoever holds it may wait and read on, while
    others make this forget.
    """

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self._workspaces: dict[str, int] = {}
        self._assets: dict[AssetName, int] = {}
        self._signals: dict[SignalName, int] = {}

    def forget(self) -> None:
        """Look everything up again: the database may not be the one it was."""
        self._workspaces, self._assets, self._signals = {}, {}, {}

    async def workspaces(self, names: Iterable[str]) -> Mapping[str, int]:
        """Return the numbers of workspaces, creating those that are new."""
        known = self._workspaces = _bounded(self._workspaces)
        missing = sorted(set(names) - known.keys())
        if missing:
            with translated():
                await self._pool.execute(_SQL["add_workspaces"], missing)
                rows = await self._pool.fetch(_SQL["workspaces"], missing)
            known.update((row["name"], row["id"]) for row in rows)
        return known

    async def assets(self, names: set[AssetName]) -> Mapping[AssetName, int]:
        """Return the numbers of assets, creating those that are new together with their vehicles."""
        known = self._assets = _bounded(self._assets)
        missing = names - known.keys()
        if missing:
            numbers = await self.workspaces(name[0] for name in names)
            known.update(await self._found_or_created(sorted(missing), numbers))
        return known

    async def _found_or_created(
        self, names: list[AssetName], numbers: Mapping[str, int]
    ) -> dict[AssetName, int]:
        words = {numbers[workspace]: workspace for workspace, _, _ in names}
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                found = await _assets(connection, names, numbers, words)
                new = [name for name in names if name not in found]
                if new:
                    await connection.execute(_SQL["add_assets"], *_columns(new, numbers))
                    created = await _assets(connection, new, numbers, words)
                    await connection.execute(
                        _SQL["add_vehicles"],
                        [numbers[workspace] for workspace, _, _ in created],
                        list(created.values()),
                        [vehicle_id(*name) for name in created],
                    )
                    found |= created
        return found

    async def signals(self, names: set[SignalName]) -> Mapping[SignalName, int]:
        """Return the numbers of signals, creating those that are new."""
        known = self._signals = _bounded(self._signals)
        for name in sorted(names - known.keys()):
            known[name] = await self._signal(*name)
        return known

    async def _signal(self, provider: str, name: str) -> int:
        former = former_names(provider, name)
        uncatalogued = provider if name.startswith(f"{provider}.") else None
        with translated():
            number = await self._pool.fetchval(_SQL["signal"], name, provider, former)
            if number is None:
                await self._pool.execute(_SQL["add_signal"], name, uncatalogued)
                number = await self._pool.fetchval(_SQL["signal"], name, provider, former)
            if former:
                await self._pool.execute(_SQL["catalogue_signal"], number, name)
        return int(number)


def _bounded(known: dict[Name, int]) -> dict[Name, int]:
    """Forget everything once there is too much of it: to look up again is cheap, and rare."""
    return {} if len(known) > _REMEMBERED else known


def _columns(
    names: list[AssetName], numbers: Mapping[str, int]
) -> tuple[list[int], list[str], list[str]]:
    return (
        [numbers[workspace] for workspace, _, _ in names],
        [provider for _, provider, _ in names],
        [external_id for _, _, external_id in names],
    )


async def _assets(
    connection: Connection,
    names: list[AssetName],
    numbers: Mapping[str, int],
    words: Mapping[int, str],
) -> dict[AssetName, int]:
    rows = await connection.fetch(_SQL["assets"], *_columns(names, numbers))
    return {
        (words[row["workspace"]], row["provider"], row["external_id"]): row["id"] for row in rows
    }
