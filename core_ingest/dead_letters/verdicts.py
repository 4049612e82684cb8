"""What a replay makes of the letters of a message, and what a replay comes to. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydantic import BaseModel, Field

from core_ingest.item import WHOLE, Fate
from core_ingest.outcome import OutcomeKind


class Resolution(NamedTuple):
    """The letter of a part (an index) is resolved by `outcome`, or waits on, with the reason and detail of now."""

    part: int
    waits: bool
    outcome: str
    reason: str
    detail: str


class Tally(BaseModel):
    """What a replay made of messages and their letters."""

    messages: int = Field(default=0, description="Messages that were handled again.")
    outcomes: dict[str, int] = Field(
        default_factory=dict, description="Their outcomes: accepted, stale, duplicate and so on."
    )
    resolved: int = Field(default=0, description="Letters that wait no longer.")
    waiting: int = Field(
        default=0, description="Letters that were dead-lettered again, and wait on."
    )
    without_data: int = Field(
        default=0,
        description="Messages that cannot be replayed: no way took them, only the report came.",
    )

    def plus(self, other: "Tally") -> "Tally":
        """Return the sum."""
        kinds = sorted(self.outcomes.keys() | other.outcomes.keys())
        return Tally(
            messages=self.messages + other.messages,
            outcomes={
                kind: self.outcomes.get(kind, 0) + other.outcomes.get(kind, 0) for kind in kinds
            },
            resolved=self.resolved + other.resolved,
            waiting=self.waiting + other.waiting,
            without_data=self.without_data + other.without_data,
        )


def resolutions(indexes: Sequence[int], fate: Fate, *, moved: bool) -> Iterator[Resolution]:
    """Yield what becomes of the waiting letters (by index) of one message.

    A letter waits on where its part, or the whole message, was dead-lettered again. A message that
    `moved` is kept in another workspace now, which it did not name before: here nothing is left.
    """
    again = {letter.index: letter for letter in fate.dead_letters}
    outcome = fate.outcome.kind.value
    for index in indexes:
        letter = again.get(WHOLE) or again.get(index)
        if letter is None or moved:
            yield Resolution(index, False, outcome, "", "")  # noqa: FBT003
        else:
            yield Resolution(index, True, outcome, letter.reason, letter.detail)  # noqa: FBT003


def why(fate: Fate) -> tuple[str | None, str | None]:
    """Return reason and detail for a message's history, where it became a dead letter again."""
    if fate.outcome.kind is OutcomeKind.DEAD_LETTERED and fate.dead_letters:
        return fate.dead_letters[0].reason, fate.dead_letters[0].detail
    return None, None
