"""The kinds of message, by CloudEvents `type`, and the registry that new majors join.

A type reads `{family}.v{major}`. Core reads major N and N-1: a later major registers its kind
together with a pure `upcast` from the one before it, and the modules of v1 stay untouched.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from pydantic import BaseModel

from ingress_contracts.canonical import CanonicalUpdate
from ingress_contracts.control import Checkpoint, Connection, Undeliverable

PROVIDER_MESSAGE = "telematics.provider.message.v1"
CANONICAL_UPDATE = "telematics.canonical.update.v1"
CONNECTION = "telematics.publisher.connection.v1"
CHECKPOINT = "telematics.publisher.checkpoint.v1"
UNDELIVERABLE = "telematics.publisher.undeliverable.v1"

_TYPE = re.compile(r"(?P<family>telematics\.[a-z]+\.[a-z]+)\.v(?P<major>[1-9][0-9]{0,3})")


class Role(StrEnum):
    """What a kind is for: `data` carries telemetry, `control` speaks of the publisher itself."""

    DATA = "data"
    CONTROL = "control"


Body: TypeAlias = type[BaseModel]  # named out here, since Kind has a field called type


@dataclass(frozen=True, slots=True)
class Kind:
    """One major version of one family of messages.

    `body` is the model of the data, or None where the data are the provider's own bytes.
    `numbered` kinds carry publisherid, publisherepoch and sequence, and settle under them.
    `upcast` turns the data of the major before this one into data of this one; pure.
    """

    type: str
    role: Role
    numbered: bool
    body: Body | None
    upcast: Callable[[bytes], bytes] | None = None

    @property
    def family(self) -> str:
        """The type without its major: `telematics.provider.message`."""
        return self.type.rpartition(".v")[0]

    @property
    def major(self) -> int:
        """The major version: 1 for `telematics.provider.message.v1`."""
        return int(self.type.rpartition(".v")[2])


class UnknownKind(LookupError):
    """A type that no registered kind matches. `reason` is a stable snake_case word."""

    def __init__(self, type_: str, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {type_!r}; {remedy}")
        self.type = type_
        self.reason = reason


class KindRegistry:
    """Kinds by type. Reads the newest major of a family and the one before it."""

    def __init__(self, kinds: tuple[Kind, ...] = ()) -> None:
        self._kinds: dict[str, Kind] = {}
        self._newest: dict[str, int] = {}
        self._current: dict[str, Kind] = {}
        for kind in kinds:
            self.register(kind)

    def register(self, kind: Kind) -> None:
        """Add `kind`. Raises ValueError for a malformed type, a second registration or a gap."""
        if _TYPE.fullmatch(kind.type) is None:
            raise ValueError(f"{kind.type!r} is not of the form telematics.<noun>.<noun>.v<major>")
        if kind.type in self._kinds:
            raise ValueError(f"{kind.type!r} is registered already")
        newest = self._newest.get(kind.family)
        if newest is not None and (kind.major != newest + 1 or kind.upcast is None):
            raise ValueError(f"{kind.type!r} must follow v{newest} and bring an upcast from it")
        self._kinds[kind.type] = kind
        self._newest[kind.family] = kind.major
        self._current.pop(f"{kind.family}.v{newest}", None)
        self._current[kind.type] = kind

    def needs_origin(self, type_: str) -> bool:
        """Tell whether `type_` must carry its origin: all do, but for kinds known as unnumbered.

        An unknown type is asked for it as well, since a dead letter is kept under its origin.
        """
        kind = self._kinds.get(type_)
        return kind is None or kind.numbered

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def resolve(self, type_: str) -> Kind:
        """Return the kind of `type_` as it was sent.

        Raises UnknownKind with reason `unknown_type` (no such family), `unknown_version` (a major
        newer than any known here) or `retired_version` (older than N-1).
        """
        kind = self._kinds.get(type_)
        match = _TYPE.fullmatch(type_)
        newest = self._newest.get(match["family"]) if match else None
        if match is None or newest is None:
            raise UnknownKind(type_, "unknown_type", f"known: {', '.join(sorted(self._kinds))}")
        if kind is None and int(match["major"]) > newest:
            raise UnknownKind(
                type_, "unknown_version", f"upgrade core, which reads up to v{newest}"
            )
        if kind is None or kind.major < newest - 1:
            raise UnknownKind(type_, "retired_version", f"send v{newest} or v{newest - 1}")
        return kind

    def upcast(self, type_: str, data: bytes) -> tuple[Kind, bytes]:
        """Return the newest kind of the family and `data` in its shape. Raises UnknownKind."""
        current = self._current.get(type_)
        if current is not None:
            return current, data
        kind = self.resolve(type_)
        newest = self._newest[kind.family]
        later = self._kinds[f"{kind.family}.v{newest}"]
        if later.upcast is None:
            raise AssertionError(f"{later.type} was registered without an upcast")
        return later, later.upcast(data)


KINDS = KindRegistry(
    (
        Kind(PROVIDER_MESSAGE, Role.DATA, numbered=True, body=None),
        Kind(CANONICAL_UPDATE, Role.DATA, numbered=True, body=CanonicalUpdate),
        Kind(CONNECTION, Role.CONTROL, numbered=True, body=Connection),
        Kind(CHECKPOINT, Role.CONTROL, numbered=False, body=Checkpoint),
        Kind(UNDELIVERABLE, Role.CONTROL, numbered=True, body=Undeliverable),
    )
)
