"""The signal catalogue: COVESA VSS 5 paths with unit, plausible range and deadband.

Source of paths and units: covesa.github.io/vehicle_signal_specification. Ranges and deadbands are
ours: a value out of range is stored with quality `IMPLAUSIBLE`; a value within the deadband of the
last significant one is stored too, as `unchanged`.
"""

from dataclasses import dataclass
from math import cos, hypot, inf, radians

from core_ingest.reading import Value

GOOD = 0
IMPLAUSIBLE = 1

_METRES_A_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True)
class Signal:
    """What is known of a signal.

    `low` and `high` bound plausible numbers, inclusive, in `unit` (None: unknown). `deadband` is in
    the same unit, for positions in metres.
    """

    path: str
    unit: str | None
    low: float = -inf
    high: float = inf
    deadband: float = 0.0

    def quality(self, value: Value) -> int:
        """Return GOOD or IMPLAUSIBLE. Texts are always plausible."""
        if isinstance(value, float):
            return GOOD if self.low <= value <= self.high else IMPLAUSIBLE
        if isinstance(value, str):
            return GOOD
        latitude, longitude = value
        return GOOD if abs(latitude) <= 90 and abs(longitude) <= 180 else IMPLAUSIBLE  # noqa: PLR2004 — degrees

    def insignificant(self, value: Value, significant: Value) -> bool:
        """Return whether `value` lies within the deadband of the last `significant` value."""
        if isinstance(value, float) and isinstance(significant, float):
            return abs(value - significant) <= self.deadband
        if isinstance(value, tuple) and isinstance(significant, tuple):
            return _metres(value, significant) <= self.deadband
        return value == significant


def _metres(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Return the distance on a locally flat earth: exact enough for deadbands of some metres."""
    north = (here[0] - there[0]) * _METRES_A_DEGREE
    east = (here[1] - there[1]) * _METRES_A_DEGREE * cos(radians(here[0]))
    return hypot(north, east)


_BATTERY = "Vehicle.Powertrain.TractionBattery"

CATALOGUE: dict[str, Signal] = {
    signal.path: signal
    for signal in (
        Signal("Vehicle.TraveledDistance", "km", 0, 5_000_000, 0.01),
        Signal("Vehicle.Speed", "km/h", -30, 250, 0.5),
        Signal("Vehicle.CurrentLocation", "degrees", deadband=3.0),
        Signal(f"{_BATTERY}.StateOfCharge.Displayed", "percent", 0, 100, 0.1),
        Signal(f"{_BATTERY}.CurrentCurrent", "A", -3_000, 3_000, 1.0),
        Signal(f"{_BATTERY}.CurrentVoltage", "V", 100, 1_500, 0.5),
        Signal(f"{_BATTERY}.CurrentPower", "W", -2_000_000, 2_000_000, 500.0),
        Signal(f"{_BATTERY}.Charging.IsCharging", None, 0, 1, 0.5),  # a boolean, as 0 or 1
        Signal("Vehicle.Powertrain.Range", "m", 0, 2_000_000, 100.0),
    )
}


def signal(name: str) -> Signal:
    """Return the catalogue's entry for `name`, or one without unit, range and deadband."""
    return CATALOGUE.get(name) or Signal(name, None)
