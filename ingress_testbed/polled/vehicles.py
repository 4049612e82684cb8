"""One fleet, and the names that each provider has for its vehicles. Pure."""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum


class Provider(StrEnum):
    """Who can be polled."""

    GEOTAB = "geotab"
    SAMSARA = "samsara"
    RFMS = "rfms"
    VIRICITI = "viriciti"


class Vehicles:
    """The ids of `fleet`, which are a function of the sorted names alone.

    A provider knows all vehicles, or those that `known_to` names for it.
    """

    def __init__(
        self,
        fleet: Iterable[str],
        known_to: Mapping[Provider, Collection[str]] | None = None,
    ) -> None:
        self._number = {name: number for number, name in enumerate(sorted(set(fleet)), start=1)}
        self._known_to = known_to or {}

    def of(self, provider: Provider) -> dict[str, str]:
        """Return the provider's id by the fleet's name, for the vehicles that it knows."""
        known = self._known_to.get(provider, self._number.keys())
        return {
            name: _id(provider, name, number)
            for name, number in self._number.items()
            if name in known
        }

    def vin(self, name: str) -> str:
        """Return the vehicle identification number, by which all providers mean the same."""
        return _vin(self._number[name])


def _id(provider: Provider, name: str, number: int) -> str:
    match provider:
        case Provider.GEOTAB:
            return f"b{number:X}"
        case Provider.SAMSARA:
            return str(281_474_980_000_000 + number)
        case Provider.RFMS:
            return _vin(number)
        case Provider.VIRICITI:
            return name


def _vin(number: int) -> str:
    return f"XLRTEST{number:010}"
