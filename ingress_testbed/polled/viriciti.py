"""ViriCiti's REST API: GET /api/v1/my/assets, POST /api/v2/state, GET /api/v1/time/:vid.

Unlike the websocket it has all frames of the fleet. Assumed: the key in `x-api-key` or `?apiKey=`, as
the websocket has it; `:vid` may be up to five, separated by commas, and then the answer is an object
by vehicle; an unknown vehicle has no labels, and `start` and `end` are both included. No limit is
published, so that requests are only counted.
"""

import json
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ingress_testbed.polled.exchange import Answer, Request, answer
from ingress_testbed.polled.habits import Habit, Mood
from ingress_testbed.polled.limits import Limit
from ingress_testbed.polled.timeline import Pace
from ingress_testbed.polled.vehicles import Provider, Vehicles
from ingress_testbed.recordings import Frame

ASSETS, STATE, TIME = "/api/v1/my/assets", "/api/v2/state", "/api/v1/time/"
MOST_VEHICLES = 5
MOST_MILLISECONDS = 31 * 24 * 3_600_000
_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class ViricitiManner:
    """The key, and how long (ms) after it happened a frame is in the history."""

    key: str = "simulated"
    lag: int = 500


@dataclass(slots=True)
class _Series:
    """Times in epoch ms, never falling, and values as JSON text."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    values: list[str] = field(default_factory=list)


class History:
    """All frames, given in order of time, by vehicle and label. Held in memory."""

    def __init__(self, frames: Iterable[Frame], pace: Pace, lag: int) -> None:
        self._pace, self._lag = pace, lag
        self._series: dict[str, dict[str, _Series]] = defaultdict(lambda: defaultdict(_Series))
        for frame in frames:
            series = self._series[frame.vid][frame.label]
            series.times.append(frame.time)
            series.values.append(frame.value)

    def newest(self, vid: str, label: str, now: int) -> tuple[int, str] | None:
        """Return time and value of the newest that is known."""
        series = self._of(vid, label)
        known = self._known(series, now)
        return (series.times[known - 1], series.values[known - 1]) if known else None

    def between(
        self, vid: str, label: str, start: int, end: int, now: int
    ) -> list[tuple[int, str]]:
        """Return times and values of `start` to `end`, both included, that are known."""
        series = self._of(vid, label)
        first = bisect_left(series.times, start)
        behind = min(bisect_right(series.times, end), self._known(series, now))
        return list(zip(series.times[first:behind], series.values[first:behind], strict=True))

    def _of(self, vid: str, label: str) -> _Series:
        return self._series.get(vid, {}).get(label) or _Series()

    def _known(self, series: _Series, now: int) -> int:
        received = lambda time: self._pace.happened(time) + self._lag  # noqa: E731 — a key
        return bisect_right(series.times, now, key=received)


class Viriciti:
    """What the REST API knows of `history`."""

    def __init__(self, history: History, vehicles: Vehicles, manner: ViricitiManner) -> None:
        self._ids = vehicles.of(Provider.VIRICITI)
        self._vehicles = vehicles
        self._history = history
        self._manner = manner
        self.limits: Mapping[str, Limit] = {"requests": Limit(None)}

    def answer(self, request: Request, now: int, mood: Mood) -> Answer:
        """Answer a request at `now`, epoch ms."""
        key = request.headers.get("x-api-key") or request.query.get("apiKey")
        if key != self._manner.key:
            return self.unauthorized()
        self.limits["requests"].wait("", now)
        if (request.method, request.path) == ("GET", ASSETS):
            assets = [{"vid": vid, "name": name} for name, vid in self._ids.items()]
            return answer(assets, data=True)
        if (request.method, request.path) == ("POST", STATE):
            return self._state(request.body, now, mood)
        if request.method == "GET" and request.path.startswith(TIME):
            return self._time(request, now, mood)
        return _refused("there is no such endpoint", 404)

    def unauthorized(self) -> Answer:
        """Refuse a key."""
        return _refused("this API key is not known", 401)

    def over_limit(self, wait: int) -> Answer:
        """Refuse for `wait` ms."""
        return answer({"error": "slow down"}, 429, headers={"Retry-After": str(-(-wait // 1000))})

    def _state(self, body: bytes, now: int, mood: Mood) -> Answer:
        try:
            asked = {
                str(vid): [str(label) for label in labels]
                for vid, labels in json.loads(body).items()
            }
        except (ValueError, TypeError, AttributeError, RecursionError):
            return _refused('ask for {"vid":["label"]}')
        shift = _HOUR if mood.gives_in(Habit.CLOCK) else 0
        vehicles = [
            f"{json.dumps(vid)}:{{{','.join(self._label(vid, one, now, shift) for one in labels)}}}"
            for vid, labels in asked.items()
        ]
        return _written(f"{{{','.join(vehicles)}}}")

    def _label(self, vid: str, label: str, now: int, shift: int) -> str:
        newest = self._history.newest(vid, label, now) if vid in self._ids else None
        value = "null" if newest is None else _point(*newest, shift)
        return f"{json.dumps(label)}:{value}"

    def _time(self, request: Request, now: int, mood: Mood) -> Answer:
        vids = request.path.removeprefix(TIME).split(",")
        label, start, end = (request.query.get(name, "") for name in ("label", "start", "end"))
        if not label or not start.isdecimal() or not end.isdecimal():
            return _refused("label, and start and end in milliseconds, are needed")
        if len(vids) > MOST_VEHICLES or int(end) - int(start) > MOST_MILLISECONDS:
            return _refused(f"at most {MOST_VEHICLES} vehicles and 31 days at once")
        if not self._ids.keys() >= set(vids):
            return _refused("there is no such vehicle", 404)
        shift = _HOUR if mood.gives_in(Habit.CLOCK) else 0
        series = {
            vid: ",".join(
                _point(time, value, shift)
                for time, value in self._history.between(vid, label, int(start), int(end), now)
            )
            for vid in vids
        }
        if len(vids) == 1:
            return _written(f"[{series[vids[0]]}]")
        by_vehicle = ",".join(f"{json.dumps(vid)}:[{points}]" for vid, points in series.items())
        return _written(f"{{{by_vehicle}}}")


def _point(time: int, value: str, shift: int) -> str:
    return f'{{"time":{time + shift},"value":{value}}}'


def _written(text: str) -> Answer:
    return Answer(200, text.encode(), data=True)


def _refused(text: str, status: int = 400) -> Answer:
    return answer({"error": text}, status)
