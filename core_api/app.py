"""The API as an ASGI application, and its OpenAPI description."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.responses import RedirectResponse

from core_api import dead_letters, error_answers, ingest, probes, views
from core_api.problems import ProblemDocument
from core_api.services import Services
from core_api.watch import Watch

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]

_DESCRIPTION = """\
Vehicle telemetry in, canonical state out. Messages are CloudEvents 1.0; every error is a problem
document (RFC 9457) whose `type` is stable and whose `remedy` says what to do.
"""


def create_app(open_services: OpenServices) -> FastAPI:
    """Return the application. Its lifespan opens the services and closes them again.

    `open_services` is what the command builds from settings; see `services.open_services`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services() as services:
            app.state.services = services
            yield

    app = _Api(
        title="telematics-ingress",
        version=version("telematics-ingress"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads scripts from elsewhere, into a page that sees keys
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_middleware(Watch)
    error_answers.install(app)
    for module in (ingest, views, dead_letters, probes):
        app.include_router(module.router)
    app.get("/docs", include_in_schema=False)(_docs)
    return app


async def _docs() -> RedirectResponse:
    """Lead whoever looks for documentation to the description, which any OpenAPI viewer shows."""
    return RedirectResponse("openapi.json")


def openapi() -> dict[str, Any]:
    """Return the OpenAPI description; it needs neither settings nor a database."""
    return create_app(_never_opened).openapi()


def _never_opened() -> AbstractAsyncContextManager[Services]:
    raise RuntimeError("this application was made for its description alone")


class _Api(FastAPI):
    """FastAPI, but with the problem document in place of its own error models."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        document = super().openapi()
        schemas = document["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        return document
