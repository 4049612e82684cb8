"""The answer of the ingest door: `{"outcomes": [{"index", "id", "outcome", "reason", "detail"}]}`."""

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field

REFUSED = "refused"

Said: TypeAlias = tuple[str | None, str, str | None, str | None]
"""What a door says of an envelope: id, outcome, reason and detail, as `ItemOutcome` has them."""


class ItemOutcome(BaseModel):
    """What became of one envelope of the request.

    `index` counts from 0 in the order of the request, `id` is the envelope's (null if it could
    not be read). `reason` is a stable snake_case word where the outcome needs one.
    """

    model_config = ConfigDict(frozen=True)

    index: int = Field(ge=0)
    id: str | None
    outcome: str = Field(
        description="accepted, unchanged, conflict, stale, duplicate, quarantined, rejected, "
        "empty, dead_lettered, control or refused; later versions may add others."
    )
    reason: str | None = None
    detail: str | None = Field(
        default=None,
        description="What is wrong and where, for people; left out where there is nothing to say.",
    )


class Answer(BaseModel):
    """One outcome for each envelope of the request, in its order."""

    model_config = ConfigDict(frozen=True)

    outcomes: tuple[ItemOutcome, ...]
