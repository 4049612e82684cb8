"""Fault points: named places between two steps, where a process can be told to die or to dawdle.

For trials of crashes and delays, and off unless two settings ask for it. A process that has a command line for
trials calls `arm` once, before it builds anything; until then every point is a way through.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Literal, ParamSpec, Self, TypeVar

import structlog
from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from ingress_runtime.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

_KILL = "kill@"
_DELAY = "delay@"
_LONGEST_DELAY = 60.0

log = structlog.get_logger()


class Point(StrEnum):
    """Every fault point of every process, in the order in which a message passes them.

    All are here, since one environment is often shared by all processes: a process knows its
    neighbours' points and passes none of them.
    """

    FRAME_READ = "publisher.frame.read"
    JOURNAL_COMMITTED = "publisher.journal.committed"
    BATCH_TAKEN = "publisher.batch.taken"
    BATCH_ANSWERED = "publisher.batch.answered"
    TRANSACTION_LOCKED = "core.transaction.locked"
    TRANSACTION_READ = "core.transaction.read"
    TRANSACTION_HISTORY = "core.transaction.history"
    TRANSACTION_LATEST = "core.transaction.latest"
    TRANSACTION_WRITTEN = "core.transaction.written"
    TRANSACTION_STORED = "core.transaction.stored"
    TRANSACTION_COMMITTED = "core.transaction.committed"
    ANSWER_READY = "core.answer.ready"
    OFFSETS_UNCOMMITTED = "core.offsets.uncommitted"


MOMENTS: Mapping[Point, str] = {
    Point.FRAME_READ: "a frame was read from the provider's socket, and is in memory only",
    Point.JOURNAL_COMMITTED: "the journal's commit is on disk, and nobody has heard of it",
    Point.BATCH_TAKEN: "a batch was read from the journal, and nothing of it is sent",
    Point.BATCH_ANSWERED: "core has answered a batch, and the journal does not know",
    Point.TRANSACTION_LOCKED: "core's transaction holds the locks of its assets",
    Point.TRANSACTION_READ: "core has read what it decides by",
    Point.TRANSACTION_HISTORY: "facts are written, latest is not",
    Point.TRANSACTION_LATEST: "latest is written, the settlements are not",
    Point.TRANSACTION_WRITTEN: "everything of the batch is written, what joins it is not",
    Point.TRANSACTION_STORED: "everything is written, and not committed",
    Point.TRANSACTION_COMMITTED: "the database has committed, and nobody has heard of it",
    Point.ANSWER_READY: "the answer to a request is made, and not sent",
    Point.OFFSETS_UNCOMMITTED: "the database has a batch of the queue, and the queue does not know",
}
"""What has just happened where a point is passed, for people."""


TRANSACTION_STEPS: Mapping[str, Point] = {
    point.rpartition(".")[2]: point for point in Point if point.startswith("core.transaction.")
}
"""The points between the steps of core's transaction, by the handler's names for the steps."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What happens at a point: death at a `passage`, or `delay` (s) at each one."""

    passage: int = 0
    delay: float = 0.0


def _faults(text: str) -> dict[Point, _Fault]:
    """Read `point:kill@passage` or `point:delay@seconds`, separated by commas.

    Raises ValueError, which names all points.
    """
    found: dict[Point, _Fault] = {}
    for part in filter(None, text.split(",")):
        name, _, action = part.strip().partition(":")
        if name not in MOMENTS:
            known = "; ".join(f"{point} ({moment})" for point, moment in MOMENTS.items())
            raise ValueError(f"there is no fault point {name!r}. The points are: {known}")
        fault = _fault(action)
        if fault is None:
            raise ValueError(
                f"{part!r} must read like {name}:kill@17, for its 17th passage, or {name}:delay@2, "
                f"for two seconds at each passage, {_LONGEST_DELAY:g} at most"
            )
        found[Point(name)] = fault
    return found


def _fault(action: str) -> _Fault | None:
    if action.startswith(_KILL):
        passage = action.removeprefix(_KILL)
        return _Fault(passage=int(passage)) if passage.isdecimal() and int(passage) > 0 else None
    if not action.startswith(_DELAY):
        return None
    try:
        delay = float(action.removeprefix(_DELAY))
    except ValueError:
        return None
    return _Fault(delay=delay) if 0 < delay <= _LONGEST_DELAY else None


class FaultSettings(Settings):
    """Where a process kills itself or dawdles, for trials; never set in production."""

    model_config = SettingsConfigDict(env_prefix="INGRESS_")

    faults: str | None = Field(
        default=None,
        description="Fault points, such as `publisher.journal.committed:kill@17`: SIGKILL at the "
        "17th passage; or `publisher.batch.taken:delay@2`: two seconds at each one. Several are "
        "separated by commas; a name that is unknown lists all.",
    )
    faults_allowed: Literal["yes"] | None = Field(
        default=None, description="The second key to INGRESS_FAULTS, which is refused without it."
    )

    @field_validator("faults")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        _faults(text or "")
        return text

    @model_validator(mode="after")
    def _two_keys(self) -> Self:
        if self.faults is not None and self.faults_allowed is None:
            raise ValueError(
                "INGRESS_FAULTS makes this process kill itself, or dawdle. Remove it; in a trial, set "
                "INGRESS_FAULTS_ALLOWED=yes as well"
            )
        return self


class _Armed:
    """Points with what happens there. Used by several threads."""

    def __init__(self, faults: Mapping[Point, _Fault]) -> None:
        self._faults = faults
        self._passages = dict.fromkeys(faults, 0)
        self._lock = Lock()

    def knows(self, point: Point) -> bool:
        return point in self._faults

    def passed(self, point: Point) -> None:
        fault = self._faults.get(point)
        if fault is None:
            return
        if fault.delay:
            time.sleep(fault.delay)
            return
        with self._lock:
            self._passages[point] += 1
            if self._passages[point] == fault.passage:
                log.warning("fault_kills_process", point=point, passage=fault.passage)
                os.kill(os.getpid(), signal.SIGKILL)


_armed: _Armed | None = None  # process-wide, as a process is what dies


def arm(settings: FaultSettings) -> None:
    """Let this process die or dawdle where `settings` say; nowhere, if they say nothing."""
    global _armed  # noqa: PLW0603 — see above
    _armed = _Armed(_faults(settings.faults)) if settings.faults else None


def passed(point: Point) -> None:
    """Die, if it is time, or dawdle; to be called where a batch passes."""
    if _armed is not None:
        _armed.passed(point)


def before(point: Point, work: Callable[P, T]) -> Callable[P, T]:
    """Return `work` with `point` ahead of it, or `work` itself where the point is not armed.

    For what is called for every message: a point that is off costs nothing at all.
    """
    armed = _armed
    if armed is None or not armed.knows(point):
        return work

    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        armed.passed(point)
        return work(*args, **kwargs)

    return guarded
