"""The read routes, below /v1/workspaces/{workspace}."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from core_api import documents
from core_api.auth import reader
from core_api.error_answers import invalid_parameter
from core_api.openapi_parts import problem_responses
from core_api.parameters import ExternalIds, From, Instant, Signal, To, Vehicle, Workspace
from core_api.services import Given
from core_ingest.ledger.accounting import Accounting
from core_ingest.ledger.shadow_report import LEAST, ShadowReport
from ingress_contracts.fields import Name

_MOST_VEHICLES = 500
_MOST_INSTANTS = 10_000
_LAST = timedelta(hours=1)
_FIRST = datetime(1, 1, 2, tzinfo=UTC)

router = APIRouter(
    prefix="/v1/workspaces/{workspace}",
    tags=["read"],
    dependencies=[Depends(reader)],
    responses=problem_responses(401, 403, 404, 422, 503),
)


@router.get(
    "/vehicles", summary="Vehicles and their latest values", response_model=documents.VehiclePage
)
async def list_vehicles(
    workspace: Workspace,
    services: Given,
    external_id: ExternalIds = (),
    limit: Annotated[int, Query(ge=1, le=_MOST_VEHICLES, description="Most vehicles.")] = 100,
    after: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """Return a page of vehicles in the order of their ids, each with all its latest values.

    Where assets are linked to one vehicle, the last writer of a signal wins; between values of one
    instant a fixed order decides, then provider and external id.
    """
    page = await services.reads.vehicles(
        workspace, external_ids=external_id, after=after, limit=limit
    )
    return _json(page)


@router.get(
    "/vehicles/{vehicle}",
    summary="One vehicle and its latest values",
    response_model=documents.Vehicle,
)
async def get_vehicle(workspace: Workspace, vehicle: Vehicle, services: Given) -> Response:
    """Return one vehicle as the list shows it."""
    return _json(await services.reads.vehicle(workspace, vehicle))


@router.get(
    "/vehicles/{vehicle}/history",
    summary="The values of a signal over a range",
    response_model=documents.HistoryPage,
)
async def get_history(  # noqa: PLR0913, PLR0917 — a range of a signal has this many coordinates
    workspace: Workspace,
    vehicle: Vehicle,
    services: Given,
    signal: Signal,
    start: From,
    to: To,
    limit: Annotated[int, Query(ge=1, le=_MOST_INSTANTS, description="Most instants.")] = 1_000,
    after: Annotated[Instant | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """Return the values of a signal over [from, to), oldest first, one an instant.

    Of several values at one instant the greatest is returned: number < text < position, each by
    its own order.
    """
    if start >= to:
        raise invalid_parameter("to", to.isoformat(), f"must be after from ({start.isoformat()})")
    page = await services.reads.history(
        workspace, vehicle, signal, start=start, end=to, after=after, limit=limit
    )
    return _json(page)


@router.get("/accounting", summary="What became of every message", response_model=Accounting)
async def get_accounting(workspace: Workspace, services: Given) -> Response:
    """Return how many messages the publishers numbered, and the one term that each is in.

    `unaccounted` must read zero.
    """
    return _json(await services.reads.accounting(workspace))


@router.get("/shadow", summary="What came by HTTP, by Kafka, or both", response_model=ShadowReport)
async def get_shadow(  # noqa: PLR0913, PLR0917 — a window of a publisher has this many coordinates
    workspace: Workspace,
    services: Given,
    publisher: Annotated[Name | None, Query(description="Only this publisher.")] = None,
    start: Annotated[
        Instant | None, Query(alias="from", description="First instant; an hour before `to`.")
    ] = None,
    to: Annotated[Instant | None, Query(description="Where it ends; now.")] = None,
    least: Annotated[
        int, Query(ge=1, le=1_000_000_000, description="Fewer judged numbers decide nothing.")
    ] = LEAST,
) -> Response:
    """Return whether Kafka has everything that came over HTTP while copies were sent, or what not.

    Numbers that came first within [from, to), which grows to whole slots of five minutes. Only those
    are judged that were acknowledged before a checkpoint which has come by every way, the copies'
    too.
    """
    end = to or datetime.now(UTC)
    begin = start or max(end, _FIRST) - _LAST
    if begin >= end:
        raise invalid_parameter("to", end.isoformat(), f"must be after from ({begin.isoformat()})")
    return _json(
        await services.reads.shadow(workspace, publisher, start=begin, end=end, least=least)
    )


def _json(document: BaseModel) -> Response:
    """Answer with a document that is valid already; numbers leave as their shortest form."""
    return Response(document.model_dump_json(), media_type="application/json")
