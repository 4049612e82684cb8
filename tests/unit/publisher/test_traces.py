import contextlib
from collections.abc import Iterator
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from ingress_runtime import tracing
from ingress_runtime.spans import Spans
from telematics_publisher import traces
from telematics_publisher.errors import Unreachable
from telematics_publisher.records import Envelopes, Record, Stored, provider_lane, undeliverable

NOW = 1_700_000_000_000_000
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
LANE = provider_lane("viriciti", "/viriciti/acme/buses", timestamped=True)
FRAME = Record(LANE, NOW, "arcc_004", b"{}")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is exported, tracing being on: every second frame is chosen, the first one included."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    dice = iter([0.0, 0.9] * 100)
    monkeypatch.setattr(tracing, "_spans", Spans(provider, ratio=0.5, random=lambda: next(dice)))
    yield exporter
    provider.shutdown()


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def text(context: SpanContext | None) -> str:
    """Return a context as a traceparent has it."""
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_what_is_off_is_not_even_asked() -> None:
    taken: list[Record] = []
    take_in = taken.append
    assert traces.choosing(take_in) is take_in
    traces.journalled([FRAME._replace(traceparent="x")])
    assert isinstance(traces.sending("http", []), contextlib.nullcontext)


def test_a_frame_that_is_not_chosen_is_taken_in_as_it_is(exported: InMemorySpanExporter) -> None:
    taken: list[Record] = []
    take_in = traces.choosing(taken.append)
    take_in(FRAME)
    take_in(FRAME)
    chosen, other = taken
    assert chosen._replace(traceparent=None) == FRAME
    assert other == FRAME
    (span,) = named(exported, "frame received")
    assert chosen.traceparent == text(span.context)
    assert span.start_time == NOW * 1_000
    assert dict(span.attributes or {}) == {
        "cloudevents.event_source": "/viriciti/acme/buses",
        "cloudevents.event_type": LANE.type,
        "cloudevents.event_subject": "arcc_004",
        "ingress.provider": "viriciti",
        "messaging.message.body.size": 2,
    }


def test_the_time_until_a_record_is_on_disk_is_its_own_span(
    exported: InMemorySpanExporter,
) -> None:
    taken: list[Record] = []
    take_in = traces.choosing(taken.append)
    take_in(FRAME)
    take_in(FRAME)
    traces.journalled(taken, lambda: NOW + 250)
    (span,) = named(exported, "journal")
    assert text(span.parent) == taken[0].traceparent
    assert (span.start_time, span.end_time) == (NOW * 1_000, (NOW + 250) * 1_000)


def test_each_attempt_to_send_adds_a_span_for_each_traced_message(
    exported: InMemorySpanExporter,
) -> None:
    taken: list[Record] = []
    take_in = traces.choosing(taken.append)
    for _ in range(4):
        take_in(FRAME)
    envelopes = Envelopes("acme", "edge-1")
    batch = [envelopes.of(Stored(EPOCH, at, one)) for at, one in enumerate(taken, 1)]
    with pytest.raises(Unreachable), traces.sending("http", batch):
        raise Unreachable("nobody listens")
    with traces.sending("kafka", batch):
        pass
    sent = named(exported, "send")
    traced = [one.traceparent for one in taken if one.traceparent]
    assert [text(one.parent) for one in sent] == traced * 2
    told = [dict(one.attributes or {}) for one in sent]
    assert [one["ingress.transport"] for one in told] == ["http", "http", "kafka", "kafka"]
    assert [one.get("error.type") for one in told] == [Unreachable.cause] * 2 + [None] * 2
    assert {one["messaging.batch.message_count"] for one in told} == {4}
    assert told[0]["cloudevents.event_id"] == batch[0].id
    assert told[0]["ingress.workspace"] == "acme"


def test_a_report_on_a_traced_record_is_traced() -> None:
    report = undeliverable(EPOCH, 1, FRAME._replace(traceparent="x"), "too_large", "")
    assert report.traceparent == "x"
