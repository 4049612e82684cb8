"""Envelope v1: a CloudEvents 1.0 event with the extensions of this project."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ingress_contracts.fields import (
    Instant,
    MediaType,
    Name,
    Provider,
    Text,
    TraceParent,
    WireSequence,
)

MAX_DATA_BYTES = 524_288
Data = Annotated[bytes, Field(max_length=MAX_DATA_BYTES)]
SPEC_VERSION: Final = "1.0"
JSON = "application/json"


class Envelope(BaseModel):
    """One message. Attribute names are those on the wire; `data` is what the provider sent.

    Attributes that this version does not know are ignored: versions are additive within a major.

    `source` names the stream (`/viriciti/{workspace}/{stream}`); `subject` is the external id of
    the asset as the provider names it, and `partitionkey` (routing only) equals it by default.
    `receivedtime` is stamped once, at the edge, and survives every retry and replay.
    (`publisherid`, `publisherepoch`, `sequence`) is the origin under which a numbered message is
    accounted for; `sequence` is a decimal string on the wire, since CloudEvents integers have 32
    bits.

    In JSON, `data` travels as `data_base64` (CloudEvents JSON format 3.1.1).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        val_json_bytes="base64",
        validate_by_name=True,
        validate_by_alias=True,
    )

    specversion: Literal["1.0"] = SPEC_VERSION
    id: Text
    source: Text
    type: Text
    subject: Text | None = None
    time: Instant | None = None
    datacontenttype: MediaType | None = None
    dataschema: Text | None = None
    provider: Provider | None = None
    workspaceid: Name
    receivedtime: Instant
    partitionkey: Text | None = None
    publisherid: Name
    publisherepoch: UUID | None = None
    sequence: WireSequence | None = None
    leaseepoch: WireSequence | None = None
    traceparent: TraceParent | None = None
    data: Annotated[Data, Field(validation_alias="data_base64")] = b""


_FIELDS = set(Envelope.model_fields)
_put = object.__setattr__


def of_valid(values: dict[str, Any]) -> Envelope:
    """Return the envelope of valid values, one for every field.

    What `model_construct` does, in a fifth of its time: for every message of a queue.
    """
    envelope = Envelope.__new__(Envelope)
    _put(envelope, "__dict__", values)
    _put(envelope, "__pydantic_fields_set__", _FIELDS)
    _put(envelope, "__pydantic_extra__", None)
    _put(envelope, "__pydantic_private__", None)
    return envelope
