"""A record of a queue that is no envelope: it becomes a dead letter, whole, for somebody to look at."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core_ingest.outcome import Outcome, OutcomeKind

UNKNOWN_WORKSPACE = "_unknown"
"""Holds the dead letters of records that name no workspace. No sender can have this name."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a record is no envelope, the record, and what can be read of its origin all the same.

    `reason` is a stable snake_case word, `detail` for people. A number that is legible is settled:
    its publisher has been told that the queue took it, and will not send it again.
    """

    reason: str
    detail: str
    data: bytes
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    workspaceid: str | None = None
    publisherid: str | None = None
    publisherepoch: UUID | None = None
    sequence: int | None = None
    receivedtime: datetime | None = None

    @property
    def workspace(self) -> str:
        """Return the workspace that keeps the dead letter."""
        return self.workspaceid or UNKNOWN_WORKSPACE

    @property
    def outcome(self) -> Outcome:
        """Return what becomes of it."""
        return Outcome(OutcomeKind.DEAD_LETTERED, self.reason)

    def attributes(self) -> str:
        """Return key and headers as JSON that Postgres can hold; what is no text, as base64."""
        headers = [[_name(name), _legible(value)] for name, value in self.headers]
        return json.dumps({"key": _legible(self.key), "headers": headers})


def _legible(value: bytes | None) -> str | dict[str, str] | None:
    if value is None:
        return None
    if b"\x00" not in value:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return {"base64": b64encode(value).decode("ascii")}


def _name(header: str) -> str:
    return header.replace("\x00", "\ufffd").encode(errors="replace").decode()
