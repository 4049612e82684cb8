"""What core adds to a trace: `ingest`, from a message's arrival at the door until it is committed."""

from collections.abc import Sequence

from core_ingest.hops import Passage
from core_ingest.item import Item
from core_ingest.outcome import OutcomeKind
from ingress_runtime import tracing

_WRONG = frozenset({OutcomeKind.DEAD_LETTERED, OutcomeKind.REFUSED})


def follow(items: Sequence[Item], passage: Passage | None, committed: int) -> None:
    """Add a span for each item that is traced, all of one delivery, committed at `committed` (µs)."""
    spans = tracing.spans()
    if spans is None:
        return
    arrived = committed if passage is None else passage.arrived
    for item in items:
        envelope, outcome = item.envelope, item.concluded
        if envelope.traceparent is None:
            continue
        attributes = {
            **tracing.described(envelope),
            "ingress.door": item.door.value,
            "ingress.outcome": outcome.kind.value,
            "ingress.reason": outcome.reason,
            "messaging.operation.name": "ingest",
            "messaging.operation.type": "process",
            "messaging.batch.message_count": len(items),
        }
        error = (outcome.reason or outcome.kind.value) if outcome.kind in _WRONG else None
        spans.add("ingest", "consumer", envelope.traceparent, arrived, committed, attributes, error)
