"""How each provider samples the same fleet: which of its frames become records, and when. Pure.

- Geotab: StatusData for the state of charge and the odometer at most every 10 s, for charging when
  it changes; a LogRecord at most every 5 s. Known within seconds.
- Samsara: each stat type at most every 5 s, charging when it changes. Known within seconds.
- rFMS: a status every 60 s of a vehicle that is awake, and one on each change of charging beside a
  timer's of the same instant. Known after minutes, so that many are older than one known already.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from ingress_testbed.polled.instruments import Instruments, plain
from ingress_testbed.polled.timeline import Lag, Pace, Record, Timeline
from ingress_testbed.polled.vehicles import Provider
from ingress_testbed.recordings import Frame

_KILO = Decimal(1000)
_KM_A_MILE = Decimal("1.609344")
_KM_A_PERCENT = Decimal("1.8")

LAGS: Mapping[Provider, Lag] = {
    Provider.GEOTAB: Lag(2_000, 20_000),
    Provider.SAMSARA: Lag(1_000, 8_000),
    Provider.RFMS: Lag(352_000, 1_041_000),
}
"""rFMS as measured on recordings; the others are a guess."""

Sample = tuple[str, dict[str, Any]]
"""Kind and values of a record to be."""


class Sampler(Protocol):
    """One provider's box in one vehicle."""

    def see(self, frame: Frame, bus: Instruments) -> Iterator[Sample]:
        """Yield what the box sends on `frame`, which `bus` has read."""


@dataclass(slots=True)
class _Thinned:
    """Lets something pass when it is due, by kind; `charging` remembers what was told last."""

    charging: bool | None = None
    _last: dict[str, int] = field(default_factory=dict)

    def due(self, kind: str, time: int, every: int) -> bool:
        last = self._last.get(kind)
        if last is not None and time - last < every:
            return False
        self._last[kind] = time
        return True

    def changed(self, charging: bool | None) -> bool:
        if charging is None or charging == self.charging:
            return False
        self.charging = charging
        return True


class GeotabBox:
    """Kinds are entity types."""

    def __init__(self) -> None:
        self._thinned = _Thinned()

    def see(self, frame: Frame, bus: Instruments) -> Iterator[Sample]:
        """Yield StatusData and LogRecord; distances in m, speed in km/h."""
        if frame.label == "soc" and bus.soc is not None and self._due("soc", frame, 10_000):
            yield _status("DiagnosticStateOfChargeId", plain(bus.soc))
        if frame.label == "odo" and bus.odo is not None and self._due("odo", frame, 10_000):
            yield _status("DiagnosticOdometerId", plain(bus.odo * _KILO))
        if self._thinned.changed(bus.charging):
            charging = 2 if bus.charging else 0
            yield _status("DiagnosticElectricVehicleChargingStateId", charging)
        if frame.label == "gps" and bus.place is not None and self._due("gps", frame, 5_000):
            latitude, longitude = map(plain, bus.place)
            speed = plain(bus.speed or Decimal(0))
            yield "LogRecord", {"latitude": latitude, "longitude": longitude, "speed": speed}

    def _due(self, kind: str, frame: Frame, every: int) -> bool:
        return self._thinned.due(kind, frame.time, every)


def _status(diagnostic: str, data: float) -> Sample:
    return "StatusData", {"data": data, "diagnostic": {"id": diagnostic}}


class SamsaraBox:
    """Kinds are stat types."""

    def __init__(self) -> None:
        self._thinned = _Thinned()

    def see(self, frame: Frame, bus: Instruments) -> Iterator[Sample]:
        """Yield stats; milli-percent, m, miles per hour."""
        if frame.label == "soc" and bus.soc is not None and self._due("soc", frame):
            yield "evStateOfChargeMilliPercent", {"value": int(bus.soc * _KILO)}
        if frame.label == "odo" and bus.odo is not None and self._due("odo", frame):
            yield "obdOdometerMeters", {"value": int(bus.odo * _KILO)}
        if self._thinned.changed(bus.charging):
            yield "evChargingStatus", {"value": 2 if bus.charging else 1}
        if frame.label == "gps" and bus.place is not None and self._due("gps", frame):
            latitude, longitude = map(plain, bus.place)
            yield (
                "gps",
                {
                    "latitude": latitude,
                    "longitude": longitude,
                    "headingDegrees": 0,
                    "speedMilesPerHour": plain((bus.speed or Decimal(0)) / _KM_A_MILE),
                },
            )

    def _due(self, kind: str, frame: Frame) -> bool:
        return self._thinned.due(kind, frame.time, 5_000)


class RfmsBox:
    """Kinds are triggers; values are a status without its vehicle and times."""

    def __init__(self) -> None:
        self._thinned = _Thinned()
        self._placed = 0

    def see(self, frame: Frame, bus: Instruments) -> Iterator[Sample]:
        """Yield statuses; m, km/h, %."""
        if frame.label == "gps":
            self._placed = frame.time
        status = {
            "odometer": None if bus.odo is None else int(bus.odo * _KILO),
            "soc": None if bus.soc is None else plain(bus.soc),
            "speed": None if bus.speed is None else plain(bus.speed),
            "range": None if bus.soc is None else int(bus.soc * _KM_A_PERCENT * _KILO),
            "charging": bus.charging,
            "place": None if bus.place is None else tuple(map(plain, bus.place)),
            "placed": self._placed,
        }
        changed = self._thinned.changed(bus.charging)
        if self._thinned.due("status", frame.time, 60_000) or changed:
            yield "TIMER", status
        if changed:
            yield "BATTERY_PACK_CHARGING_STATUS_CHANGE", status


BOXES: Mapping[Provider, type[GeotabBox] | type[SamsaraBox] | type[RfmsBox]] = {
    Provider.GEOTAB: GeotabBox,
    Provider.SAMSARA: SamsaraBox,
    Provider.RFMS: RfmsBox,
}


def timelines(
    frames: Iterable[Frame], pace: Pace, *, seed: int, lateness: float = 1.0
) -> dict[Provider, Timeline]:
    """Return what each provider with a feed gets to know of `frames`, given in order of time.

    `lateness` times LAGS is how late they are. Equal arguments, equal timelines.
    """
    lags = {provider: lag.times(lateness) for provider, lag in LAGS.items()}
    buses: dict[str, Instruments] = defaultdict(Instruments)
    boxes: dict[tuple[Provider, str], Sampler] = {}
    records: dict[Provider, list[Record]] = {provider: [] for provider in BOXES}
    for frame in frames:
        bus = buses[frame.vid]
        if not bus.read(frame):
            continue
        for provider, box in BOXES.items():
            sampler = boxes.setdefault((provider, frame.vid), box())
            for kind, values in sampler.see(frame, bus):
                source = f"{seed}:{provider}:{frame.vid}:{kind}:{frame.time}"
                received = pace.happened(frame.time) + lags[provider].drawn(source)
                records[provider].append(Record(frame.vid, kind, frame.time, received, values))
    return {provider: Timeline(found) for provider, found in records.items()}
