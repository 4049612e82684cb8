"""Samsara's GET /fleet/vehicles/stats/feed: `types`, `after`, `vehicleIds`.

A cursor is a place in the timeline, dressed as a UUID. Without one, or with an empty one, the answer
is the newest reading of each vehicle and type, and a cursor for what follows. Assumed: a page ends
after so many readings, not vehicles; evChargingStatus is 2 while charging, otherwise 1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ingress_testbed.polled.exchange import Answer, Request, answer, instant
from ingress_testbed.polled.habits import Habit, Mood
from ingress_testbed.polled.limits import Limit, Rate
from ingress_testbed.polled.timeline import Record, Timeline
from ingress_testbed.polled.vehicles import Provider, Vehicles

PATH = "/fleet/vehicles/stats/feed"
STAT_TYPES = ("evStateOfChargeMilliPercent", "obdOdometerMeters", "evChargingStatus", "gps")
MOST_TYPES = 3
_HOUR = 3_600_000
_TOKEN, _ORGANISATION = Rate(150, 1), Rate(200, 1)
_CURSOR = "00000000-0000-0000-0000-"


@dataclass(frozen=True, slots=True)
class SamsaraManner:
    """The tokens of one organisation, how many readings a page has, and the limits."""

    tokens: tuple[str, ...] = ("simulated",)
    page: int = 500
    token: Rate = _TOKEN
    organisation: Rate = _ORGANISATION


class _Bad(Exception):
    """What is wrong with a request, for its sender."""


class Samsara:
    """`timeline` holds readings, by kind."""

    def __init__(self, timeline: Timeline, vehicles: Vehicles, manner: SamsaraManner) -> None:
        self._ids = vehicles.of(Provider.SAMSARA)
        self._vehicles = vehicles
        self._manner = manner
        self.timeline = Timeline(one for one in timeline.records if one.vehicle in self._ids)
        self._repeated: Answer | None = None
        self.limits: Mapping[str, Limit] = {
            "token": Limit(manner.token),
            "organisation": Limit(manner.organisation),
        }

    def answer(self, request: Request, now: int, mood: Mood) -> Answer:
        """Answer a request at `now`, epoch ms."""
        token = request.bearer
        if token not in self._manner.tokens or token is None:
            return self.unauthorized()
        wait = self.limits["token"].wait(token, now)
        wait = wait or self.limits["organisation"].wait("organisation", now)
        if wait:
            return self.over_limit(wait)
        if request.path != PATH:
            return _message("there is no such endpoint", 404)
        if request.method != "GET":
            return _message("GET the feed", 405)
        try:
            return self._page(request.query, now, mood)
        except _Bad as bad:
            return _message(str(bad), 400)

    def unauthorized(self) -> Answer:
        """Refuse a token."""
        return _message("Invalid token", 401)

    def over_limit(self, wait: int) -> Answer:
        """Refuse for `wait` ms; Retry-After has a fraction."""
        return _message("Rate limit exceeded", 429, {"Retry-After": f"{wait / 1000:.3f}"})

    def recover(self) -> None:
        """Let no page be repeated any more."""
        self._repeated = None

    def _page(self, query: Mapping[str, str], now: int, mood: Mood) -> Answer:
        types, wanted = _types(query), self._wanted(query)
        if self._repeated is not None:
            mood.given.append(Habit.REPEAT)
            return self._repeated
        after, known = query.get("after", ""), self.timeline.known(now)
        start = _place(after, known) if after else known

        def asked(record: Record) -> bool:
            return record.kind in types and record.vehicle in wanted

        if after:
            records, end, more = self._following(start, known, asked)
        else:
            newest = {(one.vehicle, one.kind): one for one in self._known(known) if asked(one)}
            records, end, more = list(newest.values()), known, False
        shift = _HOUR if mood.gives_in(Habit.CLOCK) else 0
        repeat = mood.gives_in(Habit.REPEAT, where=bool(records))
        if mood.gives_in(Habit.CURSOR_BACK, where=start > 0):
            end = start // 2
        cursor = f"{_CURSOR}{end:012x}"
        if mood.gives_in(Habit.EMPTY_CURSOR, where=not more):
            cursor = ""
        content = {
            "data": self._data(records, shift),
            "pagination": {"endCursor": cursor, "hasNextPage": more or repeat},
        }
        page = answer(content, data=True)
        if repeat:
            self._repeated = page
        return page

    def _known(self, known: int) -> Iterable[Record]:
        """Yield what is known in order of event, so that the newest of a kind comes last."""
        return sorted(self.timeline.records[:known], key=lambda record: record.event)

    def _following(self, start: int, known: int, asked: Any) -> tuple[list[Record], int, bool]:
        """Return a page's records, the place behind it, and whether there are more."""
        found: list[Record] = []
        for place in range(start, known):
            record = self.timeline.records[place]
            if not asked(record):
                continue
            if len(found) == self._manner.page:
                return found, place, True
            found.append(record)
        return found, known, False

    def _data(self, records: Iterable[Record], shift: int) -> list[dict[str, Any]]:
        data: dict[str, dict[str, Any]] = {}
        for record in records:
            vehicle = data.setdefault(record.vehicle, self._vehicle(record.vehicle))
            reading = {"time": instant(record.event + shift), **record.values}
            vehicle.setdefault(record.kind, []).append(reading)
        return list(data.values())

    def _vehicle(self, name: str) -> dict[str, Any]:
        external = {"samsara.vin": self._vehicles.vin(name)}
        return {"id": self._ids[name], "name": name, "externalIds": external}

    def _wanted(self, query: Mapping[str, str]) -> set[str]:
        ids = query.get("vehicleIds")
        if not ids:
            return set(self._ids)
        return {name for name, number in self._ids.items() if number in ids.split(",")}


def _types(query: Mapping[str, str]) -> frozenset[str]:
    types = frozenset(filter(None, query.get("types", "").split(",")))
    if not types or len(types) > MOST_TYPES:
        raise _Bad(f"types must name 1 to {MOST_TYPES} stat types")
    if unknown := types.difference(STAT_TYPES):
        raise _Bad(f"there is no stat type {', '.join(sorted(unknown))}")
    return types


def _place(after: str, known: int) -> int:
    try:
        return min(int(after.removeprefix(_CURSOR), 16), known)
    except ValueError as error:
        raise _Bad("after is no cursor of this feed") from error


def _message(text: str, status: int, headers: Mapping[str, str] | None = None) -> Answer:
    return answer({"message": text, "requestId": "simulated"}, status, headers=headers)
