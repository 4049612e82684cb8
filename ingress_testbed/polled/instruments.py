"""What a bus's own instruments show, told by the frames that it sent. Pure."""

import json
from decimal import Decimal, InvalidOperation

from ingress_testbed.recordings import Frame

_CHARGING_BELOW = Decimal(-1)  # kW
_PLACES = Decimal("0.000001")


class Instruments:
    """The last value of each label that the providers know of one vehicle; None before the first.

    `soc` %, `odo` km, `speed` km/h, `power` kW, negative while charging; `place` in degrees.
    `charging`: whether power flowed in when it was told last, while the vehicle stood.
    """

    def __init__(self) -> None:
        self.soc: Decimal | None = None
        self.odo: Decimal | None = None
        self.speed: Decimal | None = None
        self.power: Decimal | None = None
        self.place: tuple[Decimal, Decimal] | None = None
        self.charging: bool | None = None

    def read(self, frame: Frame) -> bool:
        """Take a frame in; return whether it told something that is understood here."""
        if frame.label == "gps":
            return self._read_place(frame.value)
        if frame.label not in {"soc", "odo", "speed", "power"}:
            return False
        value = _number(frame.value)
        if value is None:
            return False
        setattr(self, frame.label, value)
        if frame.label == "power" and self.speed is not None:
            # only then: a speed of 0 beside the power of braking is no charging
            self.charging = value < _CHARGING_BELOW and self.speed == 0
        return True

    def _read_place(self, text: str) -> bool:
        latitude, _, longitude = str(json.loads(text)).partition("|")
        place = _number(latitude), _number(longitude)
        if place[0] is None or place[1] is None:
            return False
        self.place = place[0], place[1]
        return True


def plain(number: Decimal) -> int | float:
    """Return the JSON number: at most six decimals, none where it is whole."""
    number = number.quantize(_PLACES)
    return int(number) if number == number.to_integral_value() else float(number)


def _number(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value.adjusted()) < 12 else None  # noqa: PLR2004 — beyond all gauges
