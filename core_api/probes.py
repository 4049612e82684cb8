"""/livez, /readyz and /metrics: for orchestrators and Prometheus, without a key."""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from core_api.openapi_parts import problem_responses
from core_api.problems import NOT_READY, Problem
from core_api.services import Given
from ingress_runtime import metrics

router = APIRouter(tags=["operation"])


class Alive(BaseModel):
    """The process answers."""

    alive: bool = True


class Ready(BaseModel):
    """The process can do its work."""

    ready: bool = True


@router.get("/livez", summary="Whether the process answers")
async def livez() -> Alive:
    """Answer: nothing but the process itself is looked at."""
    return Alive()


@router.get(
    "/readyz", summary="Whether the process can do its work", responses=problem_responses(503)
)
async def readyz(services: Given) -> Ready:
    """Answer 200 where the database is there and migrated and no stop was asked for, or 503."""
    objections = await services.readiness.objections()
    if objections:
        raise Problem(
            NOT_READY,
            " ".join(objections),
            "Send requests elsewhere until this turns 200; mend what is named.",
            members={"objections": objections},
        )
    return Ready()


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def get_metrics() -> Response:
    """Return the metrics of this process in Prometheus text format."""
    body, media_type = metrics.render()
    return Response(body, headers={"content-type": media_type})
