from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from core_ingest import traces
from core_ingest.dead_letters.rebuild import rebuild
from core_ingest.door import Door, Principal
from core_ingest.hops import Passage
from core_ingest.item import Item, item_of
from core_ingest.outcome import PLAIN, OutcomeKind
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import PROVIDER_MESSAGE
from ingress_runtime import tracing
from ingress_runtime.spans import Spans

NOW = 1_700_000_000_000_000
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def item(traceparent: str | None, provider: str = "nobody", **more: Any) -> Item:
    """Return an item; without an interpreter for its provider, it is a dead letter at once."""
    envelope = Envelope(
        id="1",
        source="/test/acme/buses",
        type=PROVIDER_MESSAGE,
        subject="bus_1",
        provider=provider,
        workspaceid="acme",
        receivedtime=datetime(2026, 1, 31, 12, tzinfo=UTC),
        publisherid="edge-1",
        publisherepoch=UUID("01930000-0000-7000-8000-000000000001"),
        sequence=7,
        traceparent=traceparent,
        data=b"{}",
        **more,
    )
    return item_of(envelope, Door.KAFKA, Principal(), {})


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_spans", Spans(provider, ratio=0))
    yield exporter
    provider.shutdown()


def test_a_traced_message_has_a_span_from_its_arrival_to_the_commit(
    exported: InMemorySpanExporter,
) -> None:
    stored = item(PARENT)
    stored.outcome = PLAIN[OutcomeKind.ACCEPTED]
    traces.follow([item(None), stored], Passage(NOW), NOW + 9)
    (span,) = exported.get_finished_spans()
    assert span.parent is not None
    assert (span.name, span.kind, span.parent.span_id) == (
        "ingest",
        SpanKind.CONSUMER,
        0xB7AD6B7169203331,
    )
    assert (span.start_time, span.end_time) == (NOW * 1_000, (NOW + 9) * 1_000)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "cloudevents.event_id": "1",
        "cloudevents.event_source": "/test/acme/buses",
        "cloudevents.event_type": PROVIDER_MESSAGE,
        "cloudevents.event_subject": "bus_1",
        "ingress.provider": "nobody",
        "ingress.workspace": "acme",
        "ingress.door": "kafka",
        "ingress.outcome": "accepted",
        "messaging.operation.name": "ingest",
        "messaging.operation.type": "process",
        "messaging.batch.message_count": 2,
    }


def test_a_dead_letter_ends_its_trace_with_the_reason(exported: InMemorySpanExporter) -> None:
    traces.follow([item(PARENT)], Passage(NOW), NOW)
    (span,) = exported.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert (attributes["ingress.outcome"], attributes["ingress.reason"]) == (
        "dead_lettered",
        "unknown_provider",
    )
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("traceparent", [None, PARENT[:-1] + "0", "somebody's~own!"])
def test_what_nobody_records_adds_nothing(
    exported: InMemorySpanExporter, traceparent: str | None
) -> None:
    traces.follow([item(traceparent)], None, NOW)
    assert exported.get_finished_spans() == ()


def test_what_is_off_does_not_look_at_the_items() -> None:
    unread: Any = object()
    traces.follow(unread, None, NOW)


def test_a_dead_letter_keeps_its_trace_for_the_replay() -> None:
    kept = item(PARENT)
    again = rebuild(kept.attributes(), kept.envelope.data)
    assert isinstance(again, Envelope)
    assert again.traceparent == PARENT
