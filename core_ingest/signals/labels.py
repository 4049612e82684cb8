"""Which signal a provider's label stands for, and the factor from its unit to the catalogue's."""

from dataclasses import dataclass
from decimal import Decimal

_BATTERY = "Vehicle.Powertrain.TractionBattery"


@dataclass(frozen=True, slots=True)
class Label:
    """A label's signal (a VSS path of the catalogue); None as factor: the units are the same."""

    signal: str
    factor: Decimal | None = None


LABELS: dict[str, dict[str, Label]] = {
    "viriciti": {
        "odo": Label("Vehicle.TraveledDistance"),
        "speed": Label("Vehicle.Speed"),
        "gps": Label("Vehicle.CurrentLocation"),
        "soc": Label(f"{_BATTERY}.StateOfCharge.Displayed"),
        "current": Label(f"{_BATTERY}.CurrentCurrent"),
        "voltage": Label(f"{_BATTERY}.CurrentVoltage"),
        "power": Label(f"{_BATTERY}.CurrentPower", Decimal(1000)),
        "analyses.estimated_range": Label("Vehicle.Powertrain.Range", Decimal(1000)),
    },
}


def uncatalogued(provider: str, label: str) -> str:
    """Return the name of the signal of a label that no catalogue knows."""
    return f"{provider}.{label}"


def former_names(provider: str, signal: str) -> list[str]:
    """Return the names that `signal` may have had before its labels were catalogued."""
    labels = LABELS.get(provider, {})
    return [
        uncatalogued(provider, name) for name, label in labels.items() if label.signal == signal
    ]
