"""What the bindings share: an envelope's attributes as texts, and texts read as an envelope."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from ingress_contracts.envelope import SPEC_VERSION, Envelope
from ingress_contracts.fields import Text
from ingress_contracts.kinds import KINDS

NAMES = frozenset(Envelope.model_fields) - {"data"}
_TEXT: TypeAdapter[str] = TypeAdapter(Text)
_REASONS = {"missing": "missing_attribute", "bytes_too_long": "too_large"}
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why something is no envelope: a stable snake_case `reason`, and a `detail` for people."""

    reason: str
    detail: str


WITHOUT_SPECVERSION = Complaint(
    "unsupported_specversion", f"specversion must be there and be {SPEC_VERSION!r}"
)


def texts(envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Yield the attributes that are set, each as its CloudEvents canonical string (spec 3.1)."""
    for name, value in vars(envelope).items():
        if value is not None and name != "data":
            yield name, text(value)


def text(value: object) -> str:
    """Return the value of an attribute as its CloudEvents canonical string (spec 3.1)."""
    if type(value) is str:
        return value
    if isinstance(value, datetime):
        return in_utc(value).isoformat().replace("+00:00", "Z")
    return str(value)


def in_utc(instant: datetime) -> datetime:
    """Return the same instant in UTC, in which every binding writes."""
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def read(attributes: Mapping[str, object], data: bytes) -> Envelope | Complaint:
    """Return the envelope of these attributes, or the first thing that is wrong with them.

    Values are texts, or what JSON made of them. Attributes that no field knows are ignored.
    """
    if attributes.get("specversion") != SPEC_VERSION:
        return WITHOUT_SPECVERSION
    try:
        envelope = Envelope.model_validate(
            {**attributes, "data": data}, by_alias=False, by_name=True
        )
    except ValidationError as error:
        return _complaint(error)
    return complaint_about_origin(envelope) or envelope


def complaint_about_origin(envelope: Envelope) -> Complaint | None:
    """Say what is missing of (publisherepoch, sequence) where the kind settles under them."""
    if envelope.publisherepoch is not None and envelope.sequence is not None:
        return None
    if not KINDS.needs_origin(envelope.type):
        return None
    return Complaint(
        "missing_origin", f"{envelope.type} needs publisherepoch and sequence, next to publisherid"
    )


def readable_text(value: object) -> str | None:
    """Return `value` (text, or bytes of it) if it may stand in an attribute, else None."""
    try:
        return _TEXT.validate_python(value)
    except ValidationError:
        return None


def _complaint(error: ValidationError) -> Complaint:
    """Put pydantic's errors into a sentence that never repeats what was sent."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    detail = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in errors[:_SHOWN])
    return Complaint(_REASONS.get(errors[0]["type"], "invalid_attribute"), detail)
