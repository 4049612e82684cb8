"""Geotab's JSON-RPC at /apiv1: Authenticate, GetFeed of StatusData and LogRecord, Get of Device.

A version is a place in the entity type's timeline, in 16 hex digits; clients must not know. Errors
come with status 200, as JSON-RPC has them, except for 429. Assumed: `search.fromDate` puts the feed
before the first record, in order of versions, whose event is that late.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import cycle, islice
from typing import Any

from ingress_testbed.polled.exchange import Answer, Request, answer, instant, milliseconds
from ingress_testbed.polled.habits import Habit, Mood
from ingress_testbed.polled.limits import Limit, Rate
from ingress_testbed.polled.timeline import Record, Timeline
from ingress_testbed.polled.vehicles import Provider, Vehicles

PATH = "/apiv1"
MOST_RECORDS = 50_000
_HOUR = 3_600_000
_REPEATED = 50
_ENTITIES = ("StatusData", "LogRecord")
_DIGITS = 16
_TEN_A_MINUTE, _ONE_A_SECOND = Rate(10, 60), Rate(1, 1)


@dataclass(frozen=True, slots=True)
class GeotabManner:
    """Who may come in, for how long (s), and how often."""

    database: str = "simulated"
    user: str = "poller"
    password: str = "simulated"  # noqa: S105 — of a simulator
    session_seconds: float = 14 * 24 * 3600.0
    authenticate: Rate = _TEN_A_MINUTE
    get_feed: Rate = _ONE_A_SECOND


class _Fault(Exception):
    """A JSON-RPC error by the name of Geotab's exception."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Geotab:
    """`timeline` holds records of all entity types, by kind."""

    def __init__(self, timeline: Timeline, vehicles: Vehicles, manner: GeotabManner) -> None:
        self._ids = vehicles.of(Provider.GEOTAB)
        self._vehicles = vehicles
        self._manner = manner
        records = [record for record in timeline.records if record.vehicle in self._ids]
        self.timeline = Timeline(records)
        self._feeds = {
            entity: Timeline(record for record in records if record.kind == entity)
            for entity in _ENTITIES
        }
        self._sessions: dict[str, int] = {}
        self._opened = 0
        self._repeated: dict[str, Answer] = {}
        self.limits: Mapping[str, Limit] = {
            "Authenticate": Limit(manner.authenticate),
            **{entity: Limit(manner.get_feed) for entity in _ENTITIES},
            "other": Limit(None),
        }

    def answer(self, request: Request, now: int, mood: Mood) -> Answer:
        """Answer a JSON-RPC request at `now`, epoch ms."""
        if request.method != "POST":
            return answer({"message": "POST JSON-RPC here"}, 405)
        try:
            method, params = _call(request.body)
            return self._dispatch(method, params, now, mood)
        except _Fault as fault:
            return _error(fault.kind, str(fault))

    def unauthorized(self) -> Answer:
        """Forget all sessions, and say so."""
        self._sessions.clear()
        return _error("InvalidUserException", "Incorrect login credentials: the session expired")

    def over_limit(self, wait: int) -> Answer:
        """Refuse for `wait` ms; Retry-After is in whole seconds."""
        return _over_limit(wait)

    def recover(self) -> None:
        """Let no page be repeated any more."""
        self._repeated.clear()

    def _dispatch(self, method: str, params: Mapping[str, Any], now: int, mood: Mood) -> Answer:
        if method == "Authenticate":
            return self._authenticate(params, now)
        user = self._user(params, now)
        entity = params.get("typeName")
        if method == "Get" and entity == "Device":
            self.limits["other"].wait(user, now)
            return _result([self._device(name) for name in self._ids])
        if method != "GetFeed" or entity not in self._feeds:
            raise _Fault("MissingMethodException", f"there is no {method} of {entity} here")
        wait = self.limits[entity].wait(user, now)
        if wait:
            return _over_limit(wait)
        return self._feed(entity, params, now, mood)

    def _authenticate(self, params: Mapping[str, Any], now: int) -> Answer:
        user = str(params.get("userName"))
        wait = self.limits["Authenticate"].wait(user, now)
        if wait:
            return _over_limit(wait)
        expected = (self._manner.database, self._manner.user, self._manner.password)
        if (params.get("database"), user, params.get("password")) != expected:
            raise _Fault("InvalidUserException", f"Incorrect login credentials @ {user!r}")
        self._opened += 1
        session = blake2b(f"{user}:{self._opened}".encode(), digest_size=11).hexdigest()
        self._sessions[session] = now + round(self._manner.session_seconds * 1000)
        credentials = {"database": expected[0], "sessionId": session, "userName": user}
        return _result({"credentials": credentials, "path": "ThisServer"})

    def _user(self, params: Mapping[str, Any], now: int) -> str:
        credentials = params.get("credentials")
        given = credentials if isinstance(credentials, dict) else {}
        expected = (self._manner.database, self._manner.user)
        until = self._sessions.get(str(given.get("sessionId")), 0)
        if until <= now or (given.get("database"), given.get("userName")) != expected:
            raise _Fault("InvalidUserException", "Incorrect login credentials: no such session")
        return self._manner.user

    def _feed(self, entity: str, params: Mapping[str, Any], now: int, mood: Mood) -> Answer:
        if entity in self._repeated:
            mood.given.append(Habit.REPEAT)
            return self._repeated[entity]
        timeline = self._feeds[entity]
        known, limit = timeline.known(now), _limit(params)
        start = _start(params, timeline, known)
        back = min(_REPEATED, start, limit - 1)
        if not mood.gives_in(Habit.RESTART, where=back > 0):
            back = 0
        end = min(known, start + limit - back)
        shift = _HOUR if mood.gives_in(Habit.CLOCK) else 0
        data = [
            self._entity(place, record, shift)
            for place, record in enumerate(timeline.records[start - back : end], start - back)
        ]
        if mood.gives_in(Habit.REPEAT, where=bool(data)):
            full = list(islice(cycle(data), limit))
            repeated = _result({"data": full, "toVersion": _version(end)}, data=True)
            self._repeated[entity] = repeated
            return repeated
        if mood.gives_in(Habit.CURSOR_BACK, where=start > 0):
            end = start // 2
        return _result({"data": data, "toVersion": _version(end)}, data=True)

    def _entity(self, place: int, record: Record, shift: int) -> dict[str, Any]:
        common = {
            "dateTime": instant(record.event + shift),
            "device": {"id": self._ids[record.vehicle]},
            "id": f"b{place + 1:X}",
            "version": _version(place + 1),
        }
        if record.kind == "LogRecord":
            return {**record.values, **common}
        return {"controller": "ControllerNoneId", **record.values, **common}

    def _device(self, name: str) -> dict[str, Any]:
        vin = self._vehicles.vin(name)
        return {"id": self._ids[name], "name": name, "vehicleIdentificationNumber": vin}


def _call(body: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        call = json.loads(body)
        method, params = call["method"], call.get("params", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _Fault("JsonSerializerException", f"this is no JSON-RPC request: {error}") from error
    if not isinstance(method, str) or not isinstance(params, dict):
        raise _Fault("JsonSerializerException", "method is a text, params an object")
    return method, params


def _limit(params: Mapping[str, Any]) -> int:
    limit = params.get("resultsLimit", MOST_RECORDS)
    if type(limit) is not int or not 0 < limit <= MOST_RECORDS:
        raise _Fault("ArgumentException", f"resultsLimit must be 1 to {MOST_RECORDS}")
    return limit


def _start(params: Mapping[str, Any], timeline: Timeline, known: int) -> int:
    """Return the place where the page begins; with neither version nor search, the head."""
    version = params.get("fromVersion")
    if version is not None:
        try:
            place = int(str(version), 16)
        except ValueError as error:
            raise _Fault("ArgumentException", f"fromVersion {version!r} is none") from error
        return min(max(place, 0), known)
    search = params.get("search")
    text = search.get("fromDate") if isinstance(search, dict) else None
    if text is None:
        return known
    since = milliseconds(str(text))
    if since is None:
        raise _Fault("ArgumentException", f"fromDate {text!r} is no instant")
    found = (place for place in range(known) if timeline.records[place].event >= since)
    return next(found, known)


def _version(place: int) -> str:
    return f"{place:0{_DIGITS}x}"


def _result(result: Any, *, data: bool = False) -> Answer:
    return answer({"result": result, "jsonrpc": "2.0"}, data=data)


def _over_limit(wait: int) -> Answer:
    seconds = str(-(-wait // 1000))
    return _error("OverLimitException", "API calls quota exceeded", 429, {"Retry-After": seconds})


def _error(
    kind: str, message: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    error = {
        "message": message,
        "code": -32000,
        "data": {"type": kind, "requestIndex": 0},
        "name": "JSONRPCError",
        "errors": [{"name": kind, "message": message}],
    }
    return answer({"error": error, "jsonrpc": "2.0"}, status, headers=headers)
