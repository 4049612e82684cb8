import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from ingress_runtime import spans as making
from ingress_runtime import tracing
from ingress_runtime.settings import SettingsError, load
from ingress_runtime.spans import Spans
from ingress_runtime.tracing import TracingSettings

NOW = 1_700_000_000_000_000
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, PARENT_SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
UNRECORDED = PARENT[:-1] + "0"

IMPORTED = """
import importlib, sys
importlib.import_module(sys.argv[1])
from ingress_runtime import tracing
with tracing.started(tracing.TracingSettings(), "any"):
    assert tracing.spans() is None
print([name for name in sys.modules if name.startswith(sys.argv[2])])
"""


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    made = Spans(provider, ratio=1)
    monkeypatch.setattr(tracing, "_spans", made)
    yield made
    provider.shutdown()


def test_it_is_off_and_a_hundredth_of_frames_is_chosen_unless_somebody_says_otherwise() -> None:
    (settings,) = load(TracingSettings, environ={})
    assert (settings.tracing, settings.trace_ratio) == ("off", 0.01)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("telematics_publisher.commands", "opentelemetry"),
        ("core_ingest.handler", "opentelemetry"),
        ("core_api.commands", "opentelemetry.sdk"),  # FastAPI itself asks for the API
        ("core_consumer.commands", "opentelemetry.sdk"),
    ],
)
def test_what_is_off_does_not_import_opentelemetry(module: str, unwanted: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", IMPORTED, module, unwanted],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout == "[]\n"


def test_without_the_extra_the_start_is_refused_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "ingress_runtime.spans")
    monkeypatch.delattr("ingress_runtime.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    settings = TracingSettings(tracing="otlp")
    with (
        pytest.raises(SettingsError, match=r"pip install 'telematics-ingress\[tracing\]'"),
        tracing.started(settings, "any"),
    ):
        pytest.fail("it started")
    with tracing.started(TracingSettings(), "any"):
        assert tracing.spans() is None


def test_a_variable_of_opentelemetry_that_is_wrong_refuses_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000")
    with (
        pytest.raises(SettingsError, match=r"OTEL_\* is not valid.*batch_size"),
        tracing.started(TracingSettings(tracing="otlp"), "any"),
    ):
        pytest.fail("it started")


def test_a_share_of_frames_is_chosen(exported: InMemorySpanExporter) -> None:
    del exported
    dice = iter([0.0, 0.24, 0.25, 0.9])
    quarter = Spans(TracerProvider(shutdown_on_exit=False), ratio=0.25, random=lambda: next(dice))
    assert [quarter.chosen() for _ in range(4)] == [True, True, False, False]


@pytest.mark.parametrize(("ratio", "expected"), [(0, False), (1, True)])
def test_none_and_all_are_shares_too(ratio: float, expected: bool) -> None:
    made = Spans(TracerProvider(shutdown_on_exit=False), ratio=ratio)
    assert {made.chosen() for _ in range(1_000)} == {expected}


def test_a_first_span_gives_the_traceparent_that_its_children_name(
    spans: Spans, exported: InMemorySpanExporter
) -> None:
    with spans.first("frame received", "consumer", NOW, {"a": 1, "b": None}) as traceparent:
        assert traceparent is not None
    spans.add("ingest", "consumer", traceparent, NOW + 5, NOW + 7, {"c": "x"})
    first, child = exported.get_finished_spans()
    assert first.parent is None
    assert (first.kind, first.start_time, dict(first.attributes or {})) == (
        SpanKind.CONSUMER,
        NOW * 1_000,
        {"a": 1},
    )
    assert child.parent is not None
    assert first.context is not None
    assert child.context is not None
    assert child.parent.span_id == first.context.span_id
    assert child.context.trace_id == first.context.trace_id
    assert (child.start_time, child.end_time) == ((NOW + 5) * 1_000, (NOW + 7) * 1_000)


def test_a_span_that_is_over_says_what_went_wrong_and_never_ends_before_it_began(
    spans: Spans, exported: InMemorySpanExporter
) -> None:
    spans.add("ingest", "consumer", PARENT, NOW, NOW - 1, {}, "unknown_provider")
    (span,) = exported.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "unknown_provider"
    assert span.end_time == span.start_time


@pytest.mark.parametrize(
    "traceparent",
    [UNRECORDED, "", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", PARENT + "-more"],
)
def test_what_is_not_recorded_or_is_no_traceparent_adds_nothing(
    spans: Spans, exported: InMemorySpanExporter, traceparent: str
) -> None:
    spans.add("ingest", "consumer", traceparent, NOW, NOW, {})
    with spans.during("send", "producer", [(traceparent, {})]):
        assert spans.current() is None
    assert exported.get_finished_spans() == ()


def test_every_traced_message_of_a_batch_has_its_span_and_an_error_spoils_them_all(
    spans: Spans, exported: InMemorySpanExporter
) -> None:
    class Away(Exception):
        cause = "unreachable"

    other = PARENT.replace("0af7", "1af7")
    parents: list[tuple[str, tracing.Attributes]] = [(PARENT, {"n": 1}), (UNRECORDED, {"n": 2})]

    def fail() -> None:
        assert spans.current() == f"{TRACE:032x}"
        raise Away

    with pytest.raises(Away), spans.during("send", "producer", [*parents, (other, {"n": 3})]):
        fail()
    found = exported.get_finished_spans()
    assert [one.parent.span_id for one in found if one.parent] == [PARENT_SPAN, PARENT_SPAN]
    assert [dict(one.attributes or {}) for one in found] == [
        {"n": 1, "error.type": "unreachable"},
        {"n": 3, "error.type": "unreachable"},
    ]
    assert all(one.events == () for one in found)  # a traceback may hold anything


def test_logs_within_a_span_name_its_trace(spans: Spans) -> None:
    render = structlog.processors.JSONRenderer()
    log = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[tracing.name_trace, lambda _l, _m, event: event]
    )
    assert tracing.name_trace(log, "info", {"event": "outside"}) == {"event": "outside"}
    with spans.during("send", "producer", [(PARENT, {})]):
        said = tracing.name_trace(log, "info", {"event": "inside"})
    assert json.loads(str(render(log, "info", dict(said)))) == {
        "event": "inside",
        "trace_id": f"{TRACE:032x}",
    }


def test_the_names_of_the_process_give_way_to_those_of_opentelemetry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert making._resource("ingress-api").attributes["service.name"] == "ingress-api"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "core-eu-1")
    attributes = making._resource("ingress-api").attributes
    assert attributes["service.name"] == "core-eu-1"
    assert attributes["service.namespace"] == "telematics-ingress"


def test_a_disabled_sdk_makes_no_traceparent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    made = Spans(TracerProvider(shutdown_on_exit=False), ratio=1)
    with made.first("frame received", "consumer", NOW, {}) as traceparent:
        assert traceparent is None
