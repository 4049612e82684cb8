"""What the journal keeps of a message: its bytes and, once for many of them, what they share."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from ingress_contracts.content_id import content_id
from ingress_contracts.control import Checkpoint, Undeliverable
from ingress_contracts.envelope import JSON, Envelope
from ingress_contracts.kinds import CHECKPOINT, CONNECTION, PROVIDER_MESSAGE, UNDELIVERABLE

_LONGEST_DETAIL = 2_000
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


class Lane(NamedTuple):
    """What all messages of one kind from one stream have in common.

    `source` is `/{provider}/{workspace}/{stream}`. Messages that are not `timestamped` have no
    time of their own: equal bytes are separate occurrences, so their origin joins the content id.
    """

    type: str
    provider: str
    source: str
    timestamped: bool


class Record(NamedTuple):
    """A message on its way into the journal. `received` is in microseconds since the epoch.

    Those that are traced have a `traceparent` (W3C Trace Context).
    """

    lane: Lane
    received: int
    subject: str | None
    data: bytes
    traceparent: str | None = None


class Stored(NamedTuple):
    """A record with its number and the epoch under which that number was handed out."""

    epoch: UUID
    sequence: int
    record: Record


def provider_lane(provider: str, source: str, *, timestamped: bool) -> Lane:
    """Return the lane of a stream's frames."""
    return Lane(PROVIDER_MESSAGE, provider, source, timestamped)


def connection_lane(provider: str, source: str) -> Lane:
    """Return the lane of a stream's connection events."""
    return Lane(CONNECTION, provider, source, timestamped=False)


def undeliverable_lane(target: Lane) -> Lane:
    """Return the lane of reports on records of `target` that no route will take."""
    return Lane(UNDELIVERABLE, target.provider, target.source, timestamped=False)


def undeliverable(  # noqa: PLR0913, PLR0917 — a target, what it was, and why: no object per report
    epoch: UUID, target: int, record: Record, reason: str, detail: str, size: int | None = None
) -> Record:
    """Return the report on number `target`; `size` (bytes) where `record` has lost its data."""
    body = Undeliverable(
        epoch=epoch,
        sequence=target,
        reason=reason,
        detail=detail[:_LONGEST_DETAIL],
        size=len(record.data) if size is None else size,
        subject=record.subject,
    )
    lane = undeliverable_lane(record.lane)
    data = body.model_dump_json().encode()
    return Record(lane, record.received, record.subject, data, record.traceparent)


class Envelopes:
    """Builds the envelopes of one publisher in one workspace. The same record, the same envelope.

    Lanes become templates that are copied without validation: their parts were validated when
    they came in.
    """

    def __init__(self, workspace: str, publisher: str) -> None:
        self.workspace = workspace
        self.publisher = publisher
        self._templates: dict[Lane, Envelope] = {}

    def of(self, stored: Stored) -> Envelope:
        """Return the envelope of a journalled record."""
        epoch, sequence, (lane, received, subject, data, traceparent) = stored
        template = self._templates.get(lane) or self._template(lane)
        occurrence = None if lane.timestamped else (self.publisher, epoch, sequence)
        id_ = content_id(lane.type, lane.provider, self.workspace, data, occurrence)
        return template.model_copy(
            update={
                "id": str(id_),
                "subject": subject,
                "partitionkey": subject,
                "receivedtime": instant(received),
                "publisherepoch": epoch,
                "sequence": sequence,
                "traceparent": traceparent,
                "data": data,
            }
        )

    def of_checkpoint(self, checkpoint: Checkpoint, received: int) -> Envelope:
        """Return the envelope of a checkpoint, which is unnumbered; `received` in microseconds."""
        data = checkpoint.model_dump_json().encode()
        return Envelope(
            id=str(content_id(CHECKPOINT, "", self.workspace, data)),
            source=f"/publisher/{self.workspace}/{self.publisher}",
            type=CHECKPOINT,
            datacontenttype=JSON,
            workspaceid=self.workspace,
            receivedtime=instant(received),
            publisherid=self.publisher,
            data=data,
        )

    def _template(self, lane: Lane) -> Envelope:
        template = Envelope(
            id="template",
            source=lane.source,
            type=lane.type,
            datacontenttype=None if lane.type == PROVIDER_MESSAGE else JSON,
            provider=lane.provider,
            workspaceid=self.workspace,
            receivedtime=instant(0),
            publisherid=self.publisher,
        )
        return self._templates.setdefault(lane, template)


def instant(microseconds: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime, exactly."""
    return _1970 + timedelta(microseconds=microseconds)
