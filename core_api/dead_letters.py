"""The routes of dead letters, below /v1/workspaces/{workspace}/dead-letters; for admins."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from core_api.auth import letter_admin
from core_api.error_answers import invalid_parameter
from core_api.openapi_parts import problem_responses
from core_api.parameters import Instant, LetterWorkspace
from core_api.services import Given
from core_ingest.dead_letters.filters import (
    LETTER_CURSOR,
    MESSAGE_CURSOR,
    Filters,
    Grouping,
    LetterCursor,
    MessageCursor,
    State,
)
from core_ingest.dead_letters.letters import Count, LetterPage, Message
from core_ingest.dead_letters.verdicts import Tally
from core_ingest.door import Door
from ingress_contracts.fields import Text

_MOST_LISTED = 1_000
_MOST_REPLAYED = 1_000
_SAID = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""A text without control characters that is not blank."""

router = APIRouter(
    prefix="/v1/workspaces/{workspace}/dead-letters",
    tags=["dead letters"],
    dependencies=[Depends(letter_admin)],
    responses=problem_responses(401, 403, 404, 422, 503),
)


class Shown(StrEnum):
    """Letters in which state are shown."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    ALL = "all"


class Counts(BaseModel):
    """How many letters there are by one of their properties, most first."""

    by: Grouping
    counts: list[Count]


class ReplayAnswer(Tally):
    """What one batch came to."""

    dry_run: bool
    next: str | None = Field(
        description="Pass it as `after` to go on; null once nothing of the choice is left."
    )


class Discarded(BaseModel):
    """What was given up."""

    messages: int
    letters: int


async def _filters(  # noqa: PLR0913, PLR0917 — a choice has this many parts
    reason: Annotated[Text | None, Query(description="Only letters of this reason.")] = None,
    provider: Annotated[Text | None, Query(description="Only of this provider.")] = None,
    publisher: Annotated[Text | None, Query(description="Only of this publisher.")] = None,
    door: Annotated[Door | None, Query(description="Only what came by this door.")] = None,
    origin: Annotated[Text | None, Query(description="Only of this message.")] = None,
    since: Annotated[
        Instant | None, Query(description="Dead-lettered at this instant or later.")
    ] = None,
    until: Annotated[Instant | None, Query(description="Dead-lettered before it.")] = None,
) -> Filters:
    return Filters(reason, provider, publisher, door, origin, State.WAITING, since, until)


Chosen = Annotated[Filters, Depends(_filters)]
Which = Annotated[Shown, Query(description="Only letters that wait, or are resolved this way.")]
Part = Annotated[Text, Path(description="A part of the origin.")]


def _in(filters: Filters, state: Shown) -> Filters:
    return replace(filters, state=None if state is Shown.ALL else State(state.value))


@router.get("", summary="Dead letters", response_model=LetterPage)
async def list_dead_letters(  # noqa: PLR0913, PLR0917 — a page of a choice has this many parts
    workspace: LetterWorkspace,
    services: Given,
    filters: Chosen,
    state: Which = Shown.WAITING,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED, description="Most letters.")] = 100,
    after: Annotated[
        str | None, Query(pattern=LETTER_CURSOR, description="`next` of the page before.")
    ] = None,
) -> Response:
    """Return a page of letters, oldest first."""
    cursor = LetterCursor() if after is None else LetterCursor.read(after)
    return _json(
        await services.dead_letters.page(workspace, _in(filters, state), after=cursor, limit=limit)
    )


@router.get("/counts", summary="How many dead letters there are", response_model=Counts)
async def count_dead_letters(
    workspace: LetterWorkspace,
    services: Given,
    filters: Chosen,
    state: Which = Shown.WAITING,
    by: Annotated[Grouping, Query(description="By what to count.")] = Grouping.REASON,
) -> Response:
    """Count letters by reason, or another property."""
    counts = await services.dead_letters.counts(workspace, _in(filters, state), by)
    return _json(Counts(by=by, counts=counts))


@router.post(
    "/replay",
    summary="Replay one batch of dead letters",
    response_model=ReplayAnswer,
    responses=problem_responses(409),
)
async def replay_dead_letters(  # noqa: PLR0913, PLR0917 — likewise
    workspace: LetterWorkspace,
    services: Given,
    filters: Chosen,
    dry_run: Annotated[
        bool, Query(description="Say what would become of them, and change nothing.")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=_MOST_REPLAYED, description="Most messages.")] = 200,
    after: Annotated[
        str | None, Query(pattern=MESSAGE_CURSOR, description="`next` of the answer before.")
    ] = None,
) -> Response:
    """Hand the next waiting messages to the handler again, in one transaction, in order.

    A request is one batch: send it again with `after`, the `next` of its answer, until that is
    null. Letters that come after the first request are not a part of it. If an answer was lost,
    send the same request again: what it resolved waits no longer. A dry run handles the batch and
    rolls it back; it agrees with the replay of the same batch.
    """
    cursor = None if after is None else MessageCursor.read(after)
    tally, following = await services.dead_letters.replay(
        workspace, filters, cursor, limit, dry_run=dry_run
    )
    text = None if following is None else following.text()
    return _json(ReplayAnswer(**tally.model_dump(), dry_run=dry_run, next=text))


@router.post(
    "/discard",
    summary="Give dead letters up",
    response_model=Discarded,
    responses=problem_responses(409),
)
async def discard_dead_letters(
    workspace: LetterWorkspace,
    services: Given,
    filters: Chosen,
    because: Annotated[
        str,
        Query(max_length=256, pattern=_SAID, description="Why; it is kept with the letters."),
    ],
) -> Response:
    """Mark the waiting letters of the chosen messages as discarded. Nothing is deleted.

    At least one filter must be given.
    """
    if not filters.narrow:
        raise invalid_parameter("filters", "", "must be given: at least one, such as reason")
    gone = await services.dead_letters.discard(workspace, filters, because)
    return _json(Discarded(messages=gone.messages, letters=gone.letters))


@router.get(
    "/{source}/{part}/{number}", summary="One message with dead letters", response_model=Message
)
async def get_dead_letter(
    workspace: LetterWorkspace, source: Part, part: Part, number: Part, services: Given
) -> Response:
    """Return a message whole: letters, attributes, data, and the replays that it saw.

    The path ends with its origin: publisher, epoch and sequence, or topic, partition and offset.
    """
    origin = f"{source}/{part}/{number}"
    return _json(await services.dead_letters.message(workspace, origin))


def _json(document: BaseModel) -> Response:
    return Response(document.model_dump_json(), media_type="application/json")
