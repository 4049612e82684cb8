"""rFMS 4.0's GET /rfms/vehiclestatuses: starttime, datetype=received, lastVin, vin.

`starttime` is inclusive and has the resolution of a second, and so has receivedDateTime: the second
that a page begins with has been seen. Pages therefore end with a second, and hold more than the one
they begin with. With lastVin a page begins behind that vehicle in its first second; statuses of one
second are in order of vin, and known when it begins. Assumed: a bearer token; the window of the limit is a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingress_testbed.polled.exchange import Answer, Request, answer, instant, milliseconds
from ingress_testbed.polled.habits import Habit, Mood
from ingress_testbed.polled.limits import Limit, Rate
from ingress_testbed.polled.timeline import Record, Timeline
from ingress_testbed.polled.vehicles import Provider, Vehicles

PATH = "/rfms/vehiclestatuses"
_HOUR = 3_600_000
_DAY = 24 * _HOUR
_SECOND = 1_000
_SIXTY_A_MINUTE = Rate(60, 60, aligned=True)
_MISSED_CHANCE = 0.3


@dataclass(frozen=True, slots=True)
class RfmsManner:
    """The token, how many statuses a page has (at least those of its first second), the limit."""

    token: str = "simulated"  # noqa: S105 — of a simulator
    page: int = 100
    requests: Rate = _SIXTY_A_MINUTE


class Rfms:
    """`timeline` holds statuses; kinds are triggers."""

    def __init__(self, timeline: Timeline, vehicles: Vehicles, manner: RfmsManner) -> None:
        self._ids = vehicles.of(Provider.RFMS)
        self._manner = manner
        records = [record for record in timeline.records if record.vehicle in self._ids]
        records.sort(key=lambda record: (self._ids[record.vehicle], record.event))
        self.timeline = Timeline(one._replace(received=self._second(one)) for one in records)
        self._repeated: dict[str, Any] | None = None
        self._now = 0
        self.limits: Mapping[str, Limit] = {"requests": Limit(manner.requests)}

    def answer(self, request: Request, now: int, mood: Mood) -> Answer:
        """Answer a request at `now`, epoch ms."""
        if request.bearer != self._manner.token:
            return self.unauthorized()
        self._now = now
        limit = self.limits["requests"]
        wait = limit.wait(self._manner.token, now)
        if wait:
            return self.over_limit(wait)
        headers = {
            "X-Rate-Limit-Limit": str(self._manner.requests.requests),
            "X-Rate-Limit-Remaining": str(limit.remaining(self._manner.token, now)),
            "X-Rate-Limit-Reset": str(-(-limit.reset(now) // _SECOND)),
        }
        if request.path != PATH or request.method != "GET":
            return _problem("GET /rfms/vehiclestatuses", 404, headers)
        start = milliseconds(request.query.get("starttime", ""))
        if start is None:
            return _problem("starttime must be an instant with a zone", 400, headers)
        if request.query.get("datetype", "received") != "received":
            return _problem("only datetype=received is served here", 400, headers)
        content = self._content(request.query, start // _SECOND * _SECOND, now, mood)
        return answer(content, headers=headers, data=True)

    def unauthorized(self) -> Answer:
        """Refuse a token."""
        return _problem("the token is not known", 401)

    def over_limit(self, wait: int) -> Answer:
        """Refuse for `wait` ms: the headers tell when the window ends, in epoch seconds."""
        headers = {
            "X-Rate-Limit-Limit": str(self._manner.requests.requests),
            "X-Rate-Limit-Remaining": "0",
            "X-Rate-Limit-Reset": str(-(-(self._now + wait) // _SECOND)),
        }
        return _problem("too many requests", 429, headers)

    def recover(self) -> None:
        """Let no page be repeated any more."""
        self._repeated = None

    def _content(
        self, query: Mapping[str, str], start: int, now: int, mood: Mood
    ) -> dict[str, Any]:
        shift = _HOUR if mood.gives_in(Habit.CLOCK) else 0
        server_time = now // _SECOND * _SECOND + shift
        if mood.gives_in(Habit.CURSOR_BACK):
            server_time = start - _DAY
        if self._repeated is not None:
            mood.given.append(Habit.REPEAT)
            return {**self._repeated, "requestServerDateTime": instant(server_time)}
        known = self._asked(query, start, now)
        page = self._page(known, start, mood)
        statuses = [self._status(record, shift) for record in page]
        if mood.gives_in(Habit.MISSING_FIELDS, where=bool(statuses)):
            _lose_fields(statuses, mood)
        more = len(page) < len(known)
        repeat = mood.gives_in(Habit.REPEAT, where=bool(statuses))
        listed: dict[str, Any] = {"vehicleStatuses": statuses}
        if not mood.gives_in(Habit.NO_WRAPPER):
            listed = {"vehicleStatusResponse": listed}
        content = {**listed, "moreDataAvailable": more or repeat}
        if repeat:
            self._repeated = content
        return {**content, "requestServerDateTime": instant(server_time)}

    def _asked(self, query: Mapping[str, str], start: int, now: int) -> list[Record]:
        """Return all statuses from `start` on that are known."""
        vin, last = query.get("vin"), query.get("lastVin", "")
        first = self.timeline.place(start)
        return [
            record
            for record in self.timeline.records[first : self.timeline.known(now)]
            if vin in {None, self._ids[record.vehicle]}
            and not (self._second(record) == start and self._ids[record.vehicle] <= last)
        ]

    def _page(self, known: list[Record], start: int, mood: Mood) -> list[Record]:
        if mood.gives_in(Habit.SPLIT_SECOND, where=len(known) > self._manner.page):
            return known[: self._end(known, self._manner.page, by_vin=True)]
        seen = sum(self._second(record) == start for record in known)
        return known[: self._end(known, seen + self._manner.page, by_vin=False)]

    def _end(self, known: list[Record], end: int, *, by_vin: bool) -> int:
        """Return `end`, or the next one that splits no second, or no vehicle's second."""

        def group(record: Record) -> tuple[int, str]:
            return self._second(record), record.vehicle if by_vin else ""

        while 0 < end < len(known) and group(known[end]) == group(known[end - 1]):
            end += 1
        return end

    def _status(self, record: Record, shift: int) -> dict[str, Any]:
        values = record.values
        snapshot: dict[str, Any] = {}
        if values["place"] is not None:
            latitude, longitude = values["place"]
            snapshot["gnssPosition"] = {
                "latitude": latitude,
                "longitude": longitude,
                "heading": 0,
                "positionDateTime": instant(values["placed"] + shift),
            }
        if values["speed"] is not None:
            snapshot["wheelBasedSpeed"] = values["speed"]
        if values["soc"] is not None:
            snapshot["hybridBatteryPackRemainingCharge"] = values["soc"]
            distance = {"total": values["range"], "batteryPack": values["range"]}
            snapshot["estimatedDistanceToEmpty"] = distance
        if values["charging"] is not None:
            charging = "CHARGING_DC" if values["charging"] else "NOT_CHARGING"
            snapshot["batteryPackChargingStatus"] = charging
        status = {
            "vin": self._ids[record.vehicle],
            "triggerType": {"triggerType": record.kind, "context": "RFMS"},
            "createdDateTime": instant(record.event + shift),
            "receivedDateTime": instant(self._second(record) + shift),
        }
        if values["odometer"] is not None:
            status["hrTotalVehicleDistance"] = values["odometer"]
        return {**status, "snapshotData": snapshot}

    @staticmethod
    def _second(record: Record) -> int:
        return record.received // _SECOND * _SECOND


def _lose_fields(statuses: list[dict[str, Any]], mood: Mood) -> None:
    """Take fields away at random, at least one from each status."""
    for status in statuses:
        fields = [(status, "triggerType"), (status, "hrTotalVehicleDistance")]
        fields += [(status["snapshotData"], name) for name in status["snapshotData"]]
        lost = [one for one in fields if mood.dice.random() < _MISSED_CHANCE]
        for holder, name in lost or fields[:1]:
            holder.pop(name, None)


def _problem(text: str, status: int, headers: Mapping[str, str] | None = None) -> Answer:
    content = {"error": {"code": status, "message": text}}
    return answer(content, status, headers=headers)
