"""Which signal a provider's label stands for, and the factor from its unit to the catalogue's."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

_BATTERY = "Vehicle.Powertrain.TractionBattery"


@dataclass(frozen=True, slots=True)
class Label:
    """A label's signal (a VSS path of the catalogue); None as factor: the units are the same.

    `states` are the values of a label that counts states instead of measuring, each with the
    catalogue's; None means that the provider does not know. Texts are in capitals with underscores.
    """

    signal: str
    factor: Decimal | None = None
    states: Mapping[int | str, float | None] | None = None


_THOUSANDTH = Decimal("0.001")
_KILOMETRES_A_MILE = Decimal("1.609344")
"""Exact: the international mile of 1959."""

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
    "geotab": {
        "DiagnosticStateOfChargeId": Label(f"{_BATTERY}.StateOfCharge.Displayed"),
        "DiagnosticOdometerId": Label("Vehicle.TraveledDistance", _THOUSANDTH),
        "DiagnosticElectricVehicleChargingStateId": Label(
            f"{_BATTERY}.Charging.IsCharging",
            states={0: 0.0, 1: 1.0, 2: 1.0},  # none, AC, DC
        ),
        "LogRecord": Label("Vehicle.CurrentLocation"),
        "LogRecord.speed": Label("Vehicle.Speed"),
    },
    "samsara": {
        "evStateOfChargeMilliPercent": Label(f"{_BATTERY}.StateOfCharge.Displayed", _THOUSANDTH),
        "obdOdometerMeters": Label("Vehicle.TraveledDistance", _THOUSANDTH),
        "evChargingStatus": Label(
            f"{_BATTERY}.Charging.IsCharging",
            states={0: None, 1: 0.0, 2: 1.0},
        ),
        "gps": Label("Vehicle.CurrentLocation"),
        "gps.speedMilesPerHour": Label("Vehicle.Speed", _KILOMETRES_A_MILE),
    },
    "rfms": {
        "hybridBatteryPackRemainingCharge": Label(f"{_BATTERY}.StateOfCharge.Displayed"),
        "hrTotalVehicleDistance": Label("Vehicle.TraveledDistance", _THOUSANDTH),
        "batteryPackChargingStatus": Label(
            f"{_BATTERY}.Charging.IsCharging",
            states={
                "NOT_CHARGING": 0.0,
                "CHARGING": 1.0,
                "CHARGING_AC": 1.0,
                "CHARGING_DC": 1.0,
                "ERROR": 0.0,  # it was to charge, and does not
                "NOT_AVAILABLE": None,
            },
        ),
        "estimatedDistanceToEmpty": Label("Vehicle.Powertrain.Range"),
        "gnssPosition": Label("Vehicle.CurrentLocation"),
        "gnssPosition.speed": Label("Vehicle.Speed"),
        "wheelBasedSpeed": Label("Vehicle.Speed"),
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
