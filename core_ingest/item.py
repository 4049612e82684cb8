"""One envelope on its way through the handler, and the pure steps of that way."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ValidationError

from core_ingest.door import Door, Principal
from core_ingest.outcome import PLAIN, RANK, Outcome, OutcomeKind
from core_ingest.providers import Interpreter, canonical
from core_ingest.reading import Reading, Rejected, Uninterpretable, micros
from core_ingest.store.identities import AssetName
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CANONICAL_UPDATE, KINDS, Kind, Role, UnknownKind

WHOLE = -1
"""The index of a dead letter that is the whole envelope."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a part of an envelope (a reading's index, or WHOLE) could not become facts."""

    index: int
    reason: str
    detail: str


class Fate(NamedTuple):
    """What became of an envelope, and which parts of it are dead letters now."""

    outcome: Outcome
    dead_letters: Sequence[DeadLetter]


@dataclass(slots=True)
class Item:
    """An envelope with what is known of it so far. `outcome` is set once it is final.

    `received` is in µs. `readings` are in the message's order; `asset` names whose they are.
    `route` is the way by which it came: the door, or `kafka/{topic}/{partition}`, where it stands at
    `offset`. `kept` is the origin under which it is a dead letter already: it comes again.
    `sent` is when its sender let go of it (µs), where that differs within a delivery.
    """

    envelope: Envelope
    door: Door
    received: int
    route: str
    offset: int | None = None
    kept: str | None = None
    sent: int | None = None
    control: BaseModel | None = None
    is_control: bool = False
    asset: AssetName | None = None
    readings: list[Reading | Rejected] = field(default_factory=list)
    outcome: Outcome | None = None
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Return whether the sender must take the envelope back: nothing of it is stored."""
        return self.outcome is not None and self.outcome.kind is OutcomeKind.REFUSED

    @property
    def concluded(self) -> Outcome:
        """Return the outcome, which by now must be there."""
        if self.outcome is None:
            raise AssertionError(f"{self.origin} has no outcome")
        return self.outcome

    @property
    def origin(self) -> str:
        """Return publisher/epoch/sequence; of what has no number, topic/partition/offset."""
        if self.kept is not None:
            return self.kept
        envelope = self.envelope
        if self.offset is not None and (
            envelope.publisherepoch is None or envelope.sequence is None
        ):
            return place(self.route, self.offset)
        return origin(envelope.publisherid, envelope.publisherepoch, envelope.sequence)

    def dead_letter(self, reason: str, detail: str) -> None:
        """Make the whole envelope a dead letter: nothing of it is stored elsewhere."""
        self.readings = []
        self.control = None
        self.dead_letters = [DeadLetter(WHOLE, reason, detail)]
        self.outcome = Outcome(OutcomeKind.DEAD_LETTERED, reason)

    def attributes(self) -> str:
        """Return the envelope's attributes as JSON, without its data."""
        return self.envelope.model_dump_json(exclude={"data"}, exclude_none=True)


def origin(publisher: str, epoch: UUID | None, sequence: int | None) -> str:
    """Return the origin of a numbered message, the key of its dead letters."""
    return f"{publisher}/{epoch}/{sequence}"


def place(route: str, offset: int) -> str:
    """Return topic/partition/offset, the origin of what has no other. `route` leads with the door."""
    return f"{route.partition('/')[2]}/{offset}"


def item_of(  # noqa: PLR0913, PLR0917 — for every message: no object to carry them
    envelope: Envelope,
    door: Door,
    principal: Principal,
    interpreters: Mapping[str, Interpreter],
    route: str | None = None,
    offset: int | None = None,
    kept: str | None = None,
) -> Item:
    """Read an envelope as far as that needs no database.

    One that has an `offset` comes from a queue, and one that is `kept` comes again: neither can be
    taken back, so what a sender would have to take back is a dead letter there.
    """
    item = Item(envelope, door, micros(envelope.receivedtime), route or door.value, offset, kept)
    _read(item, principal, interpreters)
    if item.outcome is not None and item.refused and (offset is not None or kept is not None):
        item.dead_letter(item.outcome.reason or "refused", "its sender cannot take it back")
    return item


def _read(item: Item, principal: Principal, interpreters: Mapping[str, Interpreter]) -> None:
    envelope = item.envelope
    objection = principal.objection(envelope)
    if objection is not None:
        item.outcome = Outcome(OutcomeKind.REFUSED, objection)
        return
    try:
        kind, data = KINDS.upcast(envelope.type, envelope.data)
    except UnknownKind as error:
        _unknown(item, error)
        return
    if kind.numbered and (envelope.publisherepoch is None or envelope.sequence is None):
        item.outcome = Outcome(OutcomeKind.REFUSED, "unnumbered")
    elif kind.role is Role.CONTROL:
        _read_control(item, kind, data)
    else:
        _interpret(item, kind, data, interpreters)


def _unknown(item: Item, error: UnknownKind) -> None:
    envelope = item.envelope
    if envelope.publisherepoch is None or envelope.sequence is None:
        item.outcome = Outcome(OutcomeKind.REFUSED, error.reason)
    else:
        item.dead_letter(error.reason, str(error))


def _read_control(item: Item, kind: Kind, data: bytes) -> None:
    item.is_control = True
    if kind.body is None:
        raise AssertionError(f"{kind.type} has no body")
    try:
        item.control = kind.body.model_validate_json(data)
        item.outcome = PLAIN[OutcomeKind.CONTROL]
    except ValidationError as error:
        if kind.numbered:
            item.dead_letter("unreadable_body", _first(error))
        else:
            item.outcome = Outcome(OutcomeKind.REFUSED, "unreadable_body")


def _first(error: ValidationError) -> str:
    first: Any = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"


def _interpret(
    item: Item, kind: Kind, data: bytes, interpreters: Mapping[str, Interpreter]
) -> None:
    envelope = item.envelope
    interpreter = interpreters.get(envelope.provider or "")
    if kind.type == CANONICAL_UPDATE:
        interpreter = canonical.interpret
    if interpreter is None:
        item.dead_letter(
            "unknown_provider", f"no interpreter is installed for {envelope.provider!r}"
        )
        return
    try:
        provider, external_id, readings = interpreter(data)
    except Uninterpretable as error:
        item.dead_letter(error.reason, error.detail)
        return
    except Exception as error:  # noqa: BLE001 — a plugin's defect must not hold up its neighbours
        # The text of a stranger's error may be anything; its kind is enough to find it by.
        detail = f"{type(error).__name__} in the interpreter of {envelope.provider!r}"
        item.dead_letter("interpreter_failed", f"{detail}: mend it, then replay this message")
        return
    if envelope.provider is not None and provider != envelope.provider:
        detail = f"the data speak of {provider!r}, the envelope of {envelope.provider!r}"
        item.dead_letter("foreign_provider", detail)
        return
    if not readings:
        item.outcome = PLAIN[OutcomeKind.EMPTY]
        return
    first = readings[0]
    if type(first) is Rejected and all(type(reading) is Rejected for reading in readings):
        item.dead_letter(*first)
        return
    item.readings = readings
    item.asset = (envelope.workspaceid, provider, external_id)


def conclude(item: Item, verdicts: Iterator[OutcomeKind]) -> None:
    """Set the outcome: the best of the readings'.

    Takes from `verdicts` one for each reading that is not rejected.
    """
    if len(item.readings) == 1:
        item.outcome = PLAIN[next(verdicts)]
        if item.outcome.kind is not OutcomeKind.QUARANTINED:
            return
        verdicts = iter([item.outcome.kind])
    best = OutcomeKind.REJECTED
    item.dead_letters = []
    for index, reading in enumerate(item.readings):
        if type(reading) is Rejected:
            item.dead_letters.append(DeadLetter(index, *reading))
            continue
        verdict = next(verdicts)
        if verdict is OutcomeKind.QUARANTINED:
            item.dead_letters.append(DeadLetter(index, "future", _future(item, reading)))
        best = min(best, verdict, key=RANK.__getitem__)
    item.outcome = PLAIN[best]


def _future(item: Item, reading: Any) -> str:
    ahead = (reading.observed - item.received) / 1_000_000
    return json.dumps(
        {"signal": reading.signal, "observed": reading.observed, "ahead_seconds": ahead}
    )
