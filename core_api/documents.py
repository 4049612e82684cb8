"""What the read API answers with, and the rule by which linked assets become one snapshot."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, Field

from core_ingest.reading import Value as StoredValue
from core_ingest.reading import of_columns, order
from core_ingest.signals.catalogue import CATALOGUE


class Position(BaseModel):
    """Degrees, WGS 84."""

    latitude: float
    longitude: float


Value = float | str | Position


class Asset(BaseModel):
    """What a provider calls the vehicle. The revision rises when its latest values change."""

    provider: str
    external_id: str
    revision: int


class Reading(BaseModel):
    """One value at one instant, and which asset it is from."""

    value: Value = Field(description="A number is exact: the shortest that reads back the same.")
    observed: datetime = Field(description="When it was so, by the provider's clock.")
    received: datetime = Field(description="When it arrived at the edge.")
    quality: int = Field(description="0 good, 1 implausible.")
    provider: str
    external_id: str


class SignalReading(Reading):
    """The latest value of a signal."""

    signal: str = Field(description="A COVESA VSS path, or `{provider}.{label}`.")
    unit: str | None = Field(description="null for a signal that no catalogue knows.")


class Vehicle(BaseModel):
    """A vehicle as it stands: the latest value of each of its signals."""

    vehicle: UUID
    assets: list[Asset]
    signals: list[SignalReading]


class VehiclePage(BaseModel):
    """Vehicles in the order of their ids."""

    vehicles: list[Vehicle]
    next: str | None = Field(description="Pass it as `after` for the next page; null at the end.")


class HistoryPage(BaseModel):
    """One value an instant, oldest first."""

    vehicle: UUID
    signal: str
    unit: str | None
    readings: list[Reading]
    next: str | None = Field(description="Pass it as `after` for the next page; null at the end.")


class Row(Protocol):
    """A row of a statement: columns by name."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value of a column."""


def unit_of(signal: str) -> str | None:
    """Return the unit of a signal as the catalogue gives it, None where it does not."""
    known = CATALOGUE.get(signal)
    return known.unit if known else None


def vehicles(rows: Iterable[Row]) -> list[Vehicle]:
    """Return the vehicles that `rows` of the statement `snapshots` tell of, in their order."""
    return [
        _vehicle(vehicle, list(group))
        for vehicle, group in groupby(rows, key=itemgetter("vehicle"))
    ]


def reading(row: Row) -> Reading:
    """Return a row of the statement `history_page` as it is served."""
    return Reading.model_construct(**_reading(row, _stored(row)))


def _vehicle(vehicle: UUID, rows: list[Row]) -> Vehicle:
    assets = {
        (row["provider"], row["external_id"]): Asset.model_construct(
            provider=row["provider"], external_id=row["external_id"], revision=row["revision"]
        )
        for row in rows
    }
    winners: dict[str, tuple[tuple[Any, ...], Row]] = {}
    for row in rows:
        signal = row["signal"]
        if signal is None:
            continue
        rank = _rank(row)
        if signal not in winners or rank > winners[signal][0]:
            winners[signal] = rank, row
    return Vehicle.model_construct(
        vehicle=vehicle,
        assets=list(assets.values()),
        signals=[
            _signal(signal, row) for signal, (_, row) in sorted(winners.items(), key=itemgetter(0))
        ],
    )


def _rank(row: Row) -> tuple[Any, ...]:
    """Return what the last writer has the greatest of: instant, value, provider, external id."""
    return row["observed"], order(_stored(row)), row["provider"], row["external_id"]


def _signal(signal: str, row: Row) -> SignalReading:
    return SignalReading.model_construct(
        signal=signal, unit=unit_of(signal), **_reading(row, _stored(row))
    )


def _stored(row: Row) -> StoredValue:
    return of_columns(row["num"], row["lon"], row["text"])


def _reading(row: Row, value: StoredValue) -> dict[str, Any]:
    return {
        "value": _served(value),
        "observed": row["observed"],
        "received": row["received"],
        "quality": row["quality"],
        "provider": row["provider"],
        "external_id": row["external_id"],
    }


def _served(value: StoredValue) -> Value:
    if isinstance(value, tuple):
        return Position.model_construct(latitude=value[0], longitude=value[1])
    return value
