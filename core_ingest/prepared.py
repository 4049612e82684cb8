"""Numbers that a batch needs, looked up or created before its transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core_ingest.decide import Candidate
from core_ingest.item import Item
from core_ingest.reading import Reading
from core_ingest.signals.catalogue import Signal, signal
from core_ingest.store.identities import AssetName, Identities, SignalName
from core_ingest.store.partitions import DAY, Partitions
from core_ingest.store.transaction import AssetKey


@dataclass(frozen=True, slots=True)
class Prepared:
    """The numbers of workspaces, assets and signals. `skew` (µs) is what was assumed."""

    workspaces: Mapping[str, int]
    assets: Mapping[AssetName, int]
    signals: Mapping[SignalName, int]
    skew: int
    known: dict[str, Signal] = field(default_factory=dict)

    def asset_keys(self, items: Iterable[Item]) -> set[AssetKey]:
        """Return the assets to lock."""
        names = {item.asset for item in items if item.asset is not None}
        return {(self.workspaces[name[0]], self.assets[name]) for name in names}

    def candidates(self, items: Iterable[Item]) -> list[Candidate]:
        """Return the readings of undecided items, in order, that were not rejected."""
        found = []
        for item in items:
            if item.asset is None or not item.readings:
                continue
            workspace, asset = self.workspaces[item.asset[0]], self.assets[item.asset]
            provider = item.asset[1]
            for reading in item.readings:
                if type(reading) is Reading:
                    name, observed, value = reading
                    number = self.signals[provider, name]
                    meaning = self.known[name]
                    found.append(
                        Candidate(
                            (workspace, asset, number),
                            observed,
                            item.received,
                            value,
                            meaning.quality(value),
                            meaning,
                        )
                    )
        return found


class Preparation:
    """Looks up what a batch needs, creates what is new, and remembers both."""

    def __init__(self, identities: Identities, partitions: Partitions) -> None:
        self._identities = identities
        self._partitions = partitions

    def forget(self) -> None:
        """Look everything up again."""
        self._identities.forget()
        self._partitions.forget()

    async def prepare(
        self, items: Iterable[Item], skew: int, workspaces: Iterable[str] = ()
    ) -> Prepared:
        """Return the numbers, those of `workspaces` too.

        Readings further ahead than `skew` (µs) get no partition.
        """
        batch = list(items)
        named = {item.envelope.workspaceid for item in batch}.union(workspaces)
        assets = {item.asset for item in batch if item.asset is not None}
        signals: set[SignalName] = set()
        days: set[int] = set()
        for item in batch:
            if item.asset is None:
                continue
            horizon = item.received + skew
            for reading in item.readings:
                if type(reading) is Reading:
                    name, observed, _ = reading
                    signals.add((item.asset[1], name))
                    if observed <= horizon:
                        days.add(observed // DAY)
        await self._partitions.ensure(days)
        return Prepared(
            workspaces=await self._identities.workspaces(named),
            assets=await self._identities.assets(assets),
            signals=await self._identities.signals(signals),
            skew=skew,
            known={name: signal(name) for _, name in signals},
        )
