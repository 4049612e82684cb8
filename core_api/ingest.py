"""POST /v1/provider-ingest: the HTTP door. Parses, hands over, answers; no rule lives here."""

import time
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import Counter

from core_api.admission import REFUSED_REQUESTS, Ticket, overloaded
from core_api.auth import ingest_key
from core_api.body import read_body
from core_api.group_commit import QueueClosed, QueueFull
from core_api.keys import Key
from core_api.openapi_parts import INGEST_BODY, problem_responses
from core_api.problems import (
    SHUTTING_DOWN,
    TOO_LARGE,
    UNREADABLE_BODY,
    UNSUPPORTED_MEDIA,
    Problem,
    retry_after,
)
from core_api.services import Given, Services
from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery
from core_ingest.hops import Passage
from core_ingest.outcome import Outcome
from ingress_contracts import http
from ingress_contracts.envelope import Envelope
from ingress_contracts.http import Answer, Malformed, Said
from ingress_contracts.probe import end_detail, is_probe
from ingress_contracts.sending import SENT_TIME, read_sent_time
from ingress_runtime import faults

MALFORMED = Counter(
    "core_api_malformed_envelopes_total",
    "Items of requests that were no envelopes, and were answered as refused.",
)
PROBES = Counter(
    "core_api_probes_total", "Questions of an edge whether its key is taken; nothing is stored."
)

router = APIRouter(tags=["ingest"])


@router.post(
    "/v1/provider-ingest",
    summary="Send one or many messages",
    response_model=None,
    responses={
        200: {"description": "The outcome of each message, after the commit.", "model": Answer},
        **problem_responses(400, 401, 403, 408, 413, 415, 429, 503),
    },
    openapi_extra=INGEST_BODY,
)
async def provider_ingest(
    request: Request, services: Given, key: Annotated[Key, Depends(ingest_key)]
) -> Response:
    """Take CloudEvents 1.0 in binary, structured or batch mode, and answer when they are stored.

    A message that is malformed, or not the key's to send, is `refused`; its neighbours proceed.
    429 and 503 carry Retry-After: nothing of such a request was stored, send it again.
    """
    with services.admission.admit(key.id) as ticket:
        body = await _body(request, services, ticket)
        passage = _passage(request)
        items = _decode(request, body)
        _check_number(len(items), services.settings.max_envelopes)
        envelopes = [item for item in items if isinstance(item, Envelope)]
        outcomes = await _commit(services, key, envelopes, passage) if envelopes else []
    answer = http.encode_answer(_said(items, outcomes, key))
    faults.passed(faults.Point.ANSWER_READY)
    return Response(answer, media_type="application/json")


def _passage(request: Request) -> Passage:
    """Return when the request was sent, and that it is here now."""
    sent = read_sent_time(request.headers.get(SENT_TIME))
    return Passage(time.time_ns() // 1_000, () if sent is None else (sent,))


async def _body(request: Request, services: Services, ticket: Ticket) -> bytes:
    settings = services.settings
    return await read_body(
        request.stream(),
        encoding=request.headers.get("content-encoding"),
        hold=ticket.hold,
        max_bytes=settings.max_body_bytes,
        max_expanded=settings.max_expanded_bytes,
        seconds=settings.body_seconds,
    )


def _decode(request: Request, body: bytes) -> list[Envelope | Malformed]:
    try:
        return http.decode(dict(request.headers), body)
    except http.UnsupportedMode as error:
        raise Problem(
            UNSUPPORTED_MEDIA,
            str(error),
            f"Send {http.BATCH}, {http.STRUCTURED}, or one message with ce- headers.",
        ) from None
    except http.UnreadableBody as error:
        raise Problem(
            UNREADABLE_BODY,
            str(error),
            "Send a body as CloudEvents 1.0 describes it for this content type.",
        ) from None


def _check_number(number: int, limit: int) -> None:
    if number > limit:
        raise Problem(
            TOO_LARGE,
            f"The request has {number} messages; the limit is {limit}.",
            "Split the batch and send its parts.",
            members={"limit": limit},
        )


async def _commit(
    services: Services, key: Key, envelopes: Sequence[Envelope], passage: Passage
) -> list[Outcome]:
    principal = Principal(workspace=key.workspace, publisher=key.publisher)
    try:
        return await services.commits.submit(
            Delivery(envelopes, Door.HTTP, principal, passage=passage)
        )
    except QueueFull as error:
        raise overloaded("envelopes", str(error)) from None
    except QueueClosed:
        REFUSED_REQUESTS.labels("shutting_down").inc()
        raise Problem(
            SHUTTING_DOWN,
            "The process is shutting down and takes nothing more.",
            "Send it again; another process answers, or this one once it is back.",
            headers=retry_after(1),
        ) from None


def _said(
    items: Sequence[Envelope | Malformed], outcomes: Sequence[Outcome], key: Key
) -> list[Said]:
    """Return the outcomes of all items in their order; `outcomes` are those of the envelopes."""
    committed = iter(outcomes)
    said: list[Said] = []
    for item in items:
        if isinstance(item, Envelope):
            outcome = next(committed)
            kind, reason, detail = outcome.kind.value, outcome.reason, None
            if kind == http.REFUSED and is_probe(item):
                PROBES.inc()
                detail = end_detail(key.expires)
        else:
            MALFORMED.inc()
            kind, reason, detail = http.REFUSED, item.reason, item.detail
        said.append((item.id, kind, reason, detail))
    return said
