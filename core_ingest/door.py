"""By which way an envelope came in, and who brought it."""

from dataclasses import dataclass
from enum import StrEnum

from ingress_contracts.envelope import Envelope


class Door(StrEnum):
    """A way into the handler."""

    HTTP = "http"
    KAFKA = "kafka"
    POLLER = "poller"
    REPLAY = "replay"
    """By which dead letters come again; their numbers have been settled at another door."""

    __hash__ = str.__hash__
    """Enum's own is written in Python, and this is a key for every message."""

    @property
    def takes_back(self) -> bool:
        """Return whether the sender is still there, to take back what is refused."""
        return self not in {Door.KAFKA, Door.REPLAY}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom the door has authenticated. None stands for any workspace or any publisher."""

    workspace: str | None = None
    publisher: str | None = None

    def objection(self, envelope: Envelope) -> str | None:
        """Return why this principal may not bring `envelope` (a snake_case word), or None."""
        if self.workspace is not None and envelope.workspaceid != self.workspace:
            return "foreign_workspace"
        if self.publisher is not None and envelope.publisherid != self.publisher:
            return "foreign_publisher"
        return None
