"""A bus and its days: drives, breaks at the terminus, and the depot, where it is charged."""

from collections.abc import Iterator, Mapping

from ingress_testbed.fleet_model.battery import FULL, Battery
from ingress_testbed.fleet_model.chance import Dice
from ingress_testbed.fleet_model.motion import Body, Motion
from ingress_testbed.fleet_model.places import DEPOTS, Leg, route_from
from ingress_testbed.fleet_model.sensors import CHARGING, DRIVING, Rhythm, Sensors, decimal
from ingress_testbed.recordings import Frame

_HOUR = 3_600_000
_SECOND = 1_000
_AWAKE_AFTER = 2_000
_LOW = 45.0  # percent
_ENOUGH = 55.0


class Bus:
    """Frames of one vehicle, from `start` (epoch ms) on for `hours`.

    Of a day of 24 hours: drives of some 20 to 90 minutes, breaks of 4 to 24 minutes, and at least
    one silence of 1 to 9.1 hours, in the depot after charging. A shorter recording has them all,
    shorter. Each drive begins with a waking. Breaks in the depot are used for charging; a low
    battery leads straight there, and keeps the bus until it has enough.
    """

    def __init__(self, vid: str, seed: str, start: int, hours: float) -> None:
        self._vid = vid
        self._dice = dice = Dice(seed)
        self._at = start
        self._end = start + int(hours * _HOUR)
        self._day = min(hours, 24.0) * _HOUR
        self._depot = DEPOTS[dice.below(len(DEPOTS))]
        self._route = route_from(self._depot, self._day / 72 / _SECOND, dice)
        self._at_depot = True
        self._battery = Battery(dice.between(180, 260), dice.between(75, 98))
        body = Body(dice.between(12_500, 16_000), dice.between(0.6, 0.9), dice.between(0.7, 1.0))
        self._motion = Motion(body, self._depot.place, dice.between(10_000, 200_000))
        self._consumed = dice.between(0, 100)
        self._heating = 4.0
        self._power = 0.0
        self._sensors = Sensors(
            {
                "current": lambda: decimal(self._battery.current(self._power), 1),
                "speed": lambda: decimal(self._motion.speed * 3.6, 2),
                "voltage": lambda: decimal(self._battery.voltage(self._power), 1),
                "odo": lambda: decimal(round(self._motion.odometer * 200) / 200, 3),
                "gps": self._position,
                "power": lambda: decimal(self._power, 2),
                "soc": lambda: decimal(self._battery.soc, 2),
                "energy": lambda: decimal(self._consumed, 3),
            },
            dice,
        )

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in the order of their time."""
        for frame in self._life():
            if frame.time >= self._end:
                return
            yield frame

    def _life(self) -> Iterator[Frame]:
        drives = 1 + self._dice.below(4)  # until the first long silence
        self._pass(self._between(0, self._day / 100))
        while self._at < self._end:
            drives -= 1
            long = drives == 0 or self._dice.happens(1 / 12)
            yield from self._drive(home=long)
            if long:
                yield from self._charge(self._day / 12)
                self._pass(self._between(self._day / 24, self._day * 9.1 / 24))
            else:
                pause = self._between(self._day / 360, self._day / 60)
                yield from self._charge(pause * 0.8)
                self._pass(pause * 0.2 if self._at_depot else pause)

    def _drive(self, *, home: bool) -> Iterator[Frame]:
        for after, label, value in self._sensors.wake():
            yield Frame(self._vid, label, value, self._at + after)
        self._pass(_AWAKE_AFTER)
        self._heating = self._between(4, 16)
        self._motion.set_out(self._way(home=home))
        while not self._motion.arrived:
            self._motion.step(self._dice)
            heating = self._heating + self._between(-0.5, 0.5)
            self._power = self._motion.traction() + heating
            self._consumed += self._power / 3_600
            yield from self._second(DRIVING)

    def _way(self, *, home: bool) -> list[Leg]:
        """Return the legs of a drive, and know where it will end."""
        drive = self._between(self._day / 40, self._day / 16) / _SECOND
        runs = max(1, int(drive / self._route.seconds))
        if self._battery.soc < _LOW and not self._at_depot:
            runs = 1
        elif home and self._at_depot == (runs % 2 == 1):
            runs += 1
        legs: list[Leg] = []
        for _ in range(runs):
            legs += self._route.outward if self._at_depot else self._route.inward
            self._at_depot = not self._at_depot
        return legs

    def _charge(self, most: float) -> Iterator[Frame]:
        """Charge for `most` ms or until full, where there is a charger; longer if it is not enough."""
        until = self._at + most
        while self._at_depot and self._battery.soc < FULL:
            if self._at >= until and self._battery.soc >= _ENOUGH:
                return
            accepted = self._battery.accepted(self._depot.charger)
            self._power = -accepted * self._between(0.998, 1.0)
            yield from self._second(CHARGING)

    def _second(self, rhythms: Mapping[str, Rhythm]) -> Iterator[Frame]:
        """Let a second pass at the power of now, and yield what is sent at its end."""
        self._battery.feed(self._power, 1)
        for label, value in self._sensors.read(rhythms, moving=self._motion.speed > 0):
            yield Frame(self._vid, label, value, self._at)
        self._pass(_SECOND)

    def _pass(self, milliseconds: float) -> None:
        self._at += int(milliseconds)

    def _position(self) -> str:
        latitude, longitude = self._motion.place
        return f'"{decimal(latitude, 6)}|{decimal(longitude, 6)}"'

    def _between(self, low: float, high: float) -> float:
        return self._dice.between(low, high)
