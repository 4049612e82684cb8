"""A traction battery. Power is in kW, as the provider has it: negative while charging.

Current has the sign of the recordings, which is the other one: negative while the battery feeds
the bus, positive while it is fed. So current x voltage = -power x 1000.
"""

from math import sqrt

FULL = 98.0
"""The state of charge in percent at which charging ends."""

_EMPTY = 3.0
_OHMS = 0.06
_VOLTS_EMPTY = 571.0
_VOLTS_A_PERCENT = 0.94
_TAPERS_FROM = 80.0
_LEAST_CHARGING = 8.0


class Battery:
    """`capacity` and `charge` are in kWh."""

    def __init__(self, capacity: float, soc: float) -> None:
        self.capacity = capacity
        self.charge = capacity * soc / 100

    @property
    def soc(self) -> float:
        """The state of charge in percent."""
        return 100 * self.charge / self.capacity

    def feed(self, power: float, seconds: float) -> None:
        """Give `power` for `seconds`, or take it where it is negative."""
        least, most = self.capacity * _EMPTY / 100, self.capacity
        self.charge = min(max(self.charge - power * seconds / 3_600, least), most)

    def current(self, power: float) -> float:
        """Return the amperes that flow at `power`: the root of ohms·I² + open·I + 1000·power = 0."""
        open_circuit = self._open_circuit()
        root = sqrt(open_circuit * open_circuit - 4_000 * _OHMS * power)
        return (root - open_circuit) / (2 * _OHMS)

    def voltage(self, power: float) -> float:
        """Return the volts between the terminals at `power`."""
        return self._open_circuit() + _OHMS * self.current(power)

    def accepted(self, charger: float) -> float:
        """Return the kW that it takes from a charger: all up to 80 %, then less and less."""
        room = (FULL + 0.5 - self.soc) / (FULL + 0.5 - _TAPERS_FROM)
        return max(_LEAST_CHARGING, charger * min(1.0, room))

    def _open_circuit(self) -> float:
        return _VOLTS_EMPTY + _VOLTS_A_PERCENT * self.soc
