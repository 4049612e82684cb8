"""The envelopes of the golden samples, written out in Python."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import BaseModel

from ingress_contracts.canonical import CanonicalReading, CanonicalUpdate, Position
from ingress_contracts.content_id import content_id
from ingress_contracts.control import (
    Checkpoint,
    CheckpointEpoch,
    Connection,
    ConnectionState,
    Route,
    Undeliverable,
)
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import (
    CANONICAL_UPDATE,
    CHECKPOINT,
    CONNECTION,
    PROVIDER_MESSAGE,
    UNDELIVERABLE,
)

EPOCH = UUID("01943f10-8f7a-7c3e-9d52-5f0c2b1a7e44")
OBSERVED = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)
RECEIVED = datetime(2026, 1, 1, 12, 0, 1, 123_456, tzinfo=UTC)
FRAME = b'{"type":"vehicles","payload":{"vid":"arcc_004","label":"soc","value":57.5,"time":1767268800250}}'


@pytest.fixture
def provider_message() -> Envelope:
    return Envelope(
        id=str(content_id(PROVIDER_MESSAGE, "viriciti", "acme", FRAME)),
        source="/viriciti/acme/buses",
        type=PROVIDER_MESSAGE,
        subject="arcc_004",
        time=OBSERVED,
        datacontenttype="application/json",
        provider="viriciti",
        workspaceid="acme",
        receivedtime=RECEIVED,
        publisherid="edge-1",
        publisherepoch=EPOCH,
        sequence=41,
        data=FRAME,
    )


@pytest.fixture
def provider_message_with_everything(provider_message: Envelope) -> Envelope:
    """Every optional attribute, and a subject that a header cannot carry as it is."""
    return provider_message.model_copy(
        update={
            "subject": "Linie 7 „Süd“ 100 %",
            "dataschema": "urn:example:viriciti:frame",
            "partitionkey": "arcc_004",
            "sequence": 9_007_199_254_740_993,
            "leaseepoch": 3,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        }
    )


@pytest.fixture
def one_of_each_kind(provider_message: Envelope) -> dict[str, Envelope]:
    connection = Connection(
        stream="buses", state=ConnectionState.DISCONNECTED, at=RECEIVED, reason="silence"
    )
    checkpoint = Checkpoint(
        number=7,
        epochs=(CheckpointEpoch(epoch=EPOCH, first=0, head=42, pending=((40, 41),)),),
        routes=(Route(door="http"),),
    )
    undeliverable = Undeliverable(
        epoch=EPOCH,
        sequence=40,
        reason="too_large",
        detail="HTTP 413",
        size=524_289,
        subject="arcc_004",
    )
    update = CanonicalUpdate(
        provider="depot",
        externalid="bus-12",
        readings=(
            CanonicalReading(signal="Vehicle.Speed", observed=OBSERVED, value=42.5),
            CanonicalReading(
                signal="Vehicle.CurrentLocation",
                observed=OBSERVED,
                value=Position(latitude=52.09, longitude=5.11),
            ),
            CanonicalReading(signal="depot.gate", observed=OBSERVED, value="north"),
        ),
    )
    return {
        PROVIDER_MESSAGE: provider_message,
        CANONICAL_UPDATE: _canonical(update),
        CONNECTION: _numbered(CONNECTION, 42, connection),
        CHECKPOINT: _checkpoint(checkpoint),
        UNDELIVERABLE: _numbered(UNDELIVERABLE, 43, undeliverable, subject="arcc_004"),
    }


def _canonical(update: CanonicalUpdate) -> Envelope:
    data = update.model_dump_json().encode()
    return Envelope(
        id=str(content_id(CANONICAL_UPDATE, "depot", "acme", data)),
        source="/depot/acme/gate",
        type=CANONICAL_UPDATE,
        subject="bus-12",
        datacontenttype="application/json",
        provider="depot",
        workspaceid="acme",
        receivedtime=RECEIVED,
        publisherid="edge-1",
        publisherepoch=EPOCH,
        sequence=39,
        data=data,
    )


def _numbered(type_: str, sequence: int, body: BaseModel, subject: str | None = None) -> Envelope:
    """A control message of a stream; it has no time of its own, so its origin is in the id."""
    data = body.model_dump_json().encode()
    return Envelope(
        id=str(content_id(type_, "viriciti", "acme", data, ("edge-1", EPOCH, sequence))),
        source="/viriciti/acme/buses",
        type=type_,
        subject=subject,
        datacontenttype="application/json",
        provider="viriciti",
        workspaceid="acme",
        receivedtime=RECEIVED,
        publisherid="edge-1",
        publisherepoch=EPOCH,
        sequence=sequence,
        data=data,
    )


def _checkpoint(checkpoint: Checkpoint) -> Envelope:
    """Unnumbered, and of no provider; its own number makes its bytes, and so its id, unique."""
    data = checkpoint.model_dump_json().encode()
    return Envelope(
        id=str(content_id(CHECKPOINT, "", "acme", data)),
        source="/publisher/acme/edge-1",
        type=CHECKPOINT,
        datacontenttype="application/json",
        workspaceid="acme",
        receivedtime=RECEIVED,
        publisherid="edge-1",
        data=data,
    )
