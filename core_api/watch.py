"""The outermost layer: measures every request and catches what nobody expected."""

from secrets import token_hex
from time import perf_counter

import structlog
from prometheus_client import Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core_api.problems import INTERNAL, Problem

REQUEST_SECONDS = Histogram(
    "core_api_request_seconds",
    "Time from a request's headers to the end of its answer, by route template and status.",
    ("route", "status"),
)
_HUNG_UP = "hung_up"
_UNMATCHED = "unmatched"

log = structlog.get_logger()


class Watch:
    """ASGI middleware. An unexpected exception is logged whole, and answered with a reference."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (or the lifespan, untouched)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status = _HUNG_UP

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            log.debug("client_hung_up", route=_route(scope))
        except Exception:
            reference = token_hex(8)
            log.exception("request_failed", reference=reference, route=_route(scope))
            if status != _HUNG_UP:  # the answer has begun: all that is left is to break it off
                raise
            await _failed(reference).response()(scope, receive, watched)
        finally:
            REQUEST_SECONDS.labels(_route(scope), status).observe(perf_counter() - started)


def _route(scope: Scope) -> str:
    """Return the template of the matched route, never the path itself: labels stay bounded."""
    return str(getattr(scope.get("route"), "path", _UNMATCHED))


def _failed(reference: str) -> Problem:
    return Problem(
        INTERNAL,
        f"The request failed; the log of the process has it under {reference}.",
        "Send it again: that is always safe. Where it persists, report the reference.",
        members={"reference": reference},
    )
