"""Envelope v1: a CloudEvents 1.0 event with the extensions of this project."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ingress_contracts.fields import Instant, Name, Provider, Sequence, Text

MAX_DATA_BYTES = 524_288
SPEC_VERSION = "1.0"
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
    """

    model_config = ConfigDict(frozen=True, extra="ignore", val_json_bytes="base64")

    id: Text
    source: Text
    type: Text
    subject: Text | None = None
    time: Instant | None = None
    datacontenttype: Text | None = None
    dataschema: Text | None = None
    provider: Provider | None = None
    workspaceid: Name
    receivedtime: Instant
    partitionkey: Text | None = None
    publisherid: Name
    publisherepoch: UUID | None = None
    sequence: Sequence | None = None
    leaseepoch: Sequence | None = None
    traceparent: Annotated[str, Field(max_length=64)] | None = None
    data: Annotated[bytes, Field(max_length=MAX_DATA_BYTES)] = b""
