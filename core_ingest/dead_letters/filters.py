"""Which dead letters are meant, and places among them. Pure."""

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from core_ingest.reading import EPOCH, instant, micros

_GREATEST = 2**63 - 1


class State(StrEnum):
    """What has become of a letter."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class Grouping(StrEnum):
    """By what letters are counted."""

    REASON = "reason"
    PROVIDER = "provider"
    PUBLISHER = "publisher"
    DOOR = "door"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Filters:
    """Every condition that is not None must hold. `since` <= dead_lettered < `until`."""

    reason: str | None = None
    provider: str | None = None
    publisher: str | None = None
    door: str | None = None
    origin: str | None = None
    state: State | None = State.WAITING
    since: datetime | None = None
    until: datetime | None = None

    @property
    def narrow(self) -> bool:
        """Whether they leave anything out of what waits."""
        return self != Filters()

    def arguments(self) -> tuple[str | datetime | None, ...]:
        """Return them as the statements take them, $2 to $9."""
        return (
            self.reason,
            self.provider,
            self.publisher,
            self.door,
            self.origin,
            self.state,
            self.since,
            self.until,
        )

    def text(self) -> str:
        """Return one text for equal filters."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(given, sort_keys=True, default=_utc)


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()


LETTER_CURSOR = r"^[0-9]{1,16}\.[0-9]{1,9}\.[0-9]{1,9}\.[^\x00-\x1f\x7f-\x9f]{0,512}$"
"""What the text of a LetterCursor looks like. Any such text is one."""

MESSAGE_CURSOR = (
    r"^[0-9]{1,16}\.[0-9]{1,19}\.[^~\x00-\x1f\x7f-\x9f]{0,512}~[^~\x00-\x1f\x7f-\x9f]{0,512}$"
)
"""What the text of a MessageCursor looks like. Any such text is one."""


class LetterCursor(NamedTuple):
    """A letter in a list: when it came to be, the workspace's number, origin, index."""

    dead_lettered: datetime = EPOCH
    workspace: int = 0
    origin: str = ""
    part: int = -2

    def text(self) -> str:
        """Return it as it stands in a URL or a command."""
        at = micros(self.dead_lettered)
        return f"{at}.{self.workspace}.{self.part + 2}.{self.origin}"

    @classmethod
    def read(cls, text: str) -> "LetterCursor":
        """Return the cursor that `text` is. Raises ValueError."""
        if not re.fullmatch(LETTER_CURSOR, text):
            raise ValueError("must be `next` of the page before")
        at, workspace, index, origin = text.split(".", 3)
        return cls(instant(int(at)), int(workspace), origin, int(index) - 2)


class MessageCursor(NamedTuple):
    """A place in a replay: only letters from before `started` are a part of it.

    `lane` is a stream (publisher and epoch, or topic and partition), `position` where the message
    of `origin` stands in it.
    """

    started: datetime
    lane: str = ""
    position: int = -1
    origin: str = ""

    def text(self) -> str:
        """Return it as it stands in a URL."""
        return f"{micros(self.started)}.{max(0, self.position)}.{self.lane}~{self.origin}"

    @classmethod
    def read(cls, text: str) -> "MessageCursor":
        """Return the cursor that `text` is. Raises ValueError."""
        if not re.fullmatch(MESSAGE_CURSOR, text):
            raise ValueError("must be `next` of the answer before")
        at, position, rest = text.split(".", 2)
        lane, _, origin = rest.partition("~")
        return cls(instant(int(at)), lane, min(int(position), _GREATEST), origin)
