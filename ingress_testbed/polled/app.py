"""The ASGI application: a thin shell that turns HTTP into requests and answers into HTTP."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import fastapi
from fastapi.responses import Response, StreamingResponse

from ingress_testbed.polled import geotab as geotab_api
from ingress_testbed.polled import rfms as rfms_api
from ingress_testbed.polled import samsara as samsara_api
from ingress_testbed.polled import viriciti as viriciti_api
from ingress_testbed.polled.exchange import Answer, Request
from ingress_testbed.polled.habits import Conduct, Mood, read_conduct
from ingress_testbed.polled.limits import Limit
from ingress_testbed.polled.mischief import spoilt
from ingress_testbed.polled.sampling import timelines
from ingress_testbed.polled.timeline import Pace
from ingress_testbed.polled.vehicles import Provider, Vehicles
from ingress_testbed.recordings import Frame
from ingress_testbed.simulator.clock import SYSTEM_CLOCK, Clock
from ingress_testbed.simulator.habits import BadHabit

STATUS_PATH, HABITS_PATH = "/simulator/status", "/simulator/habits"
_CHUNK = 2**20


class Service(Protocol):
    """A provider's API, pure but for what it remembers of its clients."""

    @property
    def limits(self) -> Mapping[str, Limit]:
        """Its limits by name."""

    def answer(self, request: Request, now: int, mood: Mood) -> Answer:
        """Answer a request at `now`, epoch ms."""

    def unauthorized(self) -> Answer:
        """Refuse who asks."""

    def over_limit(self, wait: int) -> Answer:
        """Refuse for `wait` ms."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the providers behave when they behave; `lateness` times the usual lags is how late."""

    geotab: geotab_api.GeotabManner = field(default_factory=geotab_api.GeotabManner)
    samsara: samsara_api.SamsaraManner = field(default_factory=samsara_api.SamsaraManner)
    rfms: rfms_api.RfmsManner = field(default_factory=rfms_api.RfmsManner)
    viriciti: viriciti_api.ViricitiManner = field(default_factory=viriciti_api.ViricitiManner)
    lateness: float = 1.0
    huge_bytes: int = 200_000_000
    seed: int = 1


class Simulation:
    """Four providers over `frames`, which are in order of time and all held in memory.

    `pace` tells when on the clock a frame happens: by default when its time says. Habits are texts,
    see read_conduct; raises BadHabit.
    """

    def __init__(  # noqa: PLR0913 — a bench has as many knobs
        self,
        frames: Iterable[Frame],
        manner: Manner | None = None,
        *,
        pace: Pace | None = None,
        vehicles: Vehicles | None = None,
        habits: Iterable[str] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.manner = manner or Manner()
        self._clock, pace = clock, pace or Pace()
        held = list(frames)
        self.vehicles = vehicles or Vehicles(frame.vid for frame in held)
        found = timelines(held, pace, seed=self.manner.seed, lateness=self.manner.lateness)
        history = viriciti_api.History(held, pace, self.manner.viriciti.lag)
        self.geotab = geotab_api.Geotab(found[Provider.GEOTAB], self.vehicles, self.manner.geotab)
        self.samsara = samsara_api.Samsara(
            found[Provider.SAMSARA], self.vehicles, self.manner.samsara
        )
        self.rfms = rfms_api.Rfms(found[Provider.RFMS], self.vehicles, self.manner.rfms)
        self.viriciti = viriciti_api.Viriciti(history, self.vehicles, self.manner.viriciti)
        self._conduct: dict[Provider, Conduct] = read_conduct(habits, self.manner.seed)

    def behave(self, habits: Iterable[str]) -> None:
        """Have these habits from now on, and no others; requests count anew. Raises BadHabit."""
        self._conduct = read_conduct(habits, self.manner.seed)
        for feed in (self.geotab, self.samsara, self.rfms):
            feed.recover()

    def answer(self, request: Request) -> Answer:
        """Answer a request to whichever provider its path belongs to."""
        provider = _addressed(request.path)
        if provider is None:
            return Answer(404, b'{"error":"no provider has this path"}')
        service, now = self._service(provider), self._clock.epoch_ms()
        conduct = self._conduct[provider]
        mood = conduct.mood()
        answer = spoilt(service.answer(request, now, mood), service, mood, self.manner.huge_bytes)
        conduct.injected.update(mood.given)
        return answer

    def status(self) -> dict[str, Any]:
        """Return what GET /simulator/status tells.

        `breaches` are the requests that came although a limit was reached, of all providers;
        `known` of `records` is what a feed has to give by now; `injected` counts habits.
        """
        now = self._clock.epoch_ms()
        feeds = {
            Provider.GEOTAB: self.geotab.timeline,
            Provider.SAMSARA: self.samsara.timeline,
            Provider.RFMS: self.rfms.timeline,
        }
        providers: dict[str, dict[str, Any]] = {}
        for provider in Provider:
            conduct, limits = self._conduct[provider], self._service(provider).limits
            providers[provider] = {
                "requests": conduct.requests,
                "breaches": sum(limit.breaches for limit in limits.values()),
                "limits": {name: limit.status() for name, limit in limits.items()},
                "injected": {str(habit): times for habit, times in conduct.injected.items()},
                "vehicles": self.vehicles.of(provider),
            }
            if provider in feeds:
                providers[provider]["records"] = len(feeds[provider].records)
                providers[provider]["known"] = feeds[provider].known(now)
        breaches = sum(one["breaches"] for one in providers.values())
        return {"now": now, "breaches": breaches, "providers": providers}

    def _service(self, provider: Provider) -> Service:
        services: dict[Provider, Service] = {
            Provider.GEOTAB: self.geotab,
            Provider.SAMSARA: self.samsara,
            Provider.RFMS: self.rfms,
            Provider.VIRICITI: self.viriciti,
        }
        return services[provider]


def application(simulation: Simulation) -> fastapi.FastAPI:
    """Return the ASGI application: the four APIs, GET /simulator/status, PUT /simulator/habits."""
    app = fastapi.FastAPI(openapi_url=None)

    @app.get(STATUS_PATH)
    async def status() -> dict[str, Any]:
        return simulation.status()

    @app.put(HABITS_PATH)
    async def habits(texts: list[str]) -> dict[str, Any]:
        try:
            simulation.behave(texts)
        except BadHabit as error:
            raise fastapi.HTTPException(400, str(error)) from error
        return simulation.status()

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def provider(http: fastapi.Request) -> Response:
        return _response(simulation.answer(await _request(http)))

    return app


async def _request(http: fastapi.Request) -> Request:
    return Request(
        method=http.method,
        path=http.url.path,
        query=dict(http.query_params),
        headers=dict(http.headers),
        body=await http.body(),
    )


def _response(answer: Answer) -> Response:
    if answer.filler:
        return StreamingResponse(
            _filled(answer), answer.status, dict(answer.headers), media_type=answer.media
        )
    return Response(answer.body, answer.status, dict(answer.headers), media_type=answer.media)


async def _filled(answer: Answer) -> AsyncIterator[bytes]:
    yield answer.body
    blanks = b" " * _CHUNK
    for start in range(0, answer.filler, _CHUNK):
        yield blanks[: answer.filler - start]


def _addressed(path: str) -> Provider | None:
    if path == geotab_api.PATH:
        return Provider.GEOTAB
    if path.startswith("/fleet/"):
        return Provider.SAMSARA
    if path.startswith("/rfms/"):
        return Provider.RFMS
    return Provider.VIRICITI if path.startswith(("/api/v1/", "/api/v2/")) else None
