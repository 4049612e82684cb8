"""What the edge adds to a trace: `frame received`, `journal`, and a `send` for each attempt.

The envelope's `traceparent` names `frame received`, the span in which the message came to be. All
others are its children, so that a trace is whole however often a message is sent. There is one
`send` for each traced message and not one for each batch: its messages belong to several traces.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from ingress_contracts.envelope import Envelope
from ingress_runtime import tracing
from telematics_publisher.clock import Microseconds, wall_clock
from telematics_publisher.records import Record

_UNTRACED: AbstractContextManager[None] = nullcontext()


def choosing(take_in: Callable[[Record], None]) -> Callable[[Record], None]:
    """Return `take_in` for records some of which are traced, or itself where tracing is off.

    For what is called for every frame: so what is off costs nothing at all.
    """
    spans = tracing.spans()
    if spans is None:
        return take_in

    def chosen(record: Record) -> None:
        if not spans.chosen():
            take_in(record)
            return
        attributes: tracing.Attributes = {
            "cloudevents.event_source": record.lane.source,
            "cloudevents.event_type": record.lane.type,
            "cloudevents.event_subject": record.subject,
            "ingress.provider": record.lane.provider,
            "messaging.message.body.size": len(record.data),
        }
        with spans.first("frame received", "consumer", record.received, attributes) as traceparent:
            take_in(record._replace(traceparent=traceparent))

    return chosen


def journalled(records: Sequence[Record], wall: Microseconds = wall_clock) -> None:
    """Say of the traced among `records` that they are on disk now."""
    spans = tracing.spans()
    if spans is None:
        return
    for record in records:
        if record.traceparent is not None:
            attributes = {"ingress.group_records": len(records)}
            spans.add(
                "journal", "internal", record.traceparent, record.received, wall(), attributes
            )


def sending(transport: str, batch: Sequence[Envelope]) -> AbstractContextManager[None]:
    """Return a context for one attempt to send a batch. What it raises is noted and goes on."""
    spans = tracing.spans()
    if spans is None:
        return _UNTRACED
    own: tracing.Attributes = {
        "ingress.transport": transport,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": len(batch),
    }
    parents = [
        (one.traceparent, {**tracing.described(one), **own})
        for one in batch
        if one.traceparent is not None
    ]
    return spans.during("send", "producer", parents)
