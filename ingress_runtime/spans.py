"""Spans by OpenTelemetry, which the extra `tracing` brings. Nothing but `tracing` imports this.

Spans wait in a bounded queue for a thread that exports them (OTLP over HTTP): when the collector is
away, the oldest are dropped, and no message waits for any of it.
"""

import random as randomness
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from threading import Thread

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ingress_runtime.tracing import ENDED, EXPORTED, Attributes

_CLOSE_SECONDS = 2.0
_PROPAGATOR = TraceContextTextMapPropagator()
_TRACEPARENT = "traceparent"
_KINDS = {
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
}


class Spans:
    """Makes the spans of this process. Times are in microseconds since 1970.

    `ratio` is the share of frames for which `chosen` is true.
    """

    def __init__(
        self,
        provider: TracerProvider,
        *,
        ratio: float,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("telematics-ingress")
        self._ratio = ratio
        self._random = random

    def chosen(self) -> bool:
        """Decide whether the next frame is traced."""
        return self._random() < self._ratio

    @contextmanager
    def first(
        self, name: str, kind: str, begun: int, attributes: Attributes
    ) -> Iterator[str | None]:
        """Begin a trace, and yield the `traceparent` that its messages carry.

        None where OTEL_SDK_DISABLED says that there are no spans at all.
        """
        span = self._tracer.start_span(
            name, Context(), _KINDS[kind], _given(attributes), start_time=begun * 1_000
        )
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(span, Context()))
        try:
            yield carrier.get(_TRACEPARENT)
        finally:
            span.end()

    def add(  # noqa: PLR0913, PLR0917 — a span in one line: it is made after the fact
        self,
        name: str,
        kind: str,
        parent: str,
        begun: int,
        ended: int,
        attributes: Attributes,
        error: str | None = None,
    ) -> None:
        """Add a span that is over, unless the `traceparent` says that its trace is not recorded.

        `error` is a bounded word for what went wrong.
        """
        context = _recorded(parent)
        if context is None:
            return
        span = self._tracer.start_span(
            name, context, _KINDS[kind], _given(attributes), start_time=begun * 1_000
        )
        if error is not None:
            _spoil(span, error)
        span.end(end_time=max(begun, ended) * 1_000)

    @contextmanager
    def during(
        self, name: str, kind: str, parents: Sequence[tuple[str, Attributes]]
    ) -> Iterator[None]:
        """Add a span for each `traceparent`, over the time of the body; the first is current in it.

        An error that the body raises is noted by its `cause`, or else by its class.
        """
        spans = [
            self._tracer.start_span(name, context, _KINDS[kind], _given(attributes))
            for parent, attributes in parents
            if (context := _recorded(parent)) is not None
        ]
        if not spans:
            yield
            return
        try:
            with trace.use_span(spans[0], record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as error:
            for span in spans:
                _spoil(span, getattr(error, "cause", None) or type(error).__name__)
            raise
        finally:
            for span in spans:
                span.end()

    @staticmethod
    def current() -> str | None:
        """Return the id of the trace to which the current span belongs, if there is one."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def close(self) -> None:
        """Export what waits, for two seconds at most."""
        closing = Thread(target=self._provider.shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


def exporting(service: str) -> TracerProvider:
    """Return a provider that exports to where OTEL_* say. Raises ValueError where they are wrong."""
    exporter = BatchSpanProcessor(_Counting(OTLPSpanExporter()))
    provider = TracerProvider(
        # Sampled is what was chosen at the edge: no OTEL_TRACES_SAMPLER may decide otherwise.
        sampler=ParentBased(ALWAYS_ON),
        resource=_resource(service),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(_Ended())
    provider.add_span_processor(exporter)
    return provider


class _Ended(SpanProcessor):
    """Counts spans."""

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 — the interface's
        ENDED.inc()


class _Counting(SpanExporter):
    """Counts what becomes of the exports of another exporter."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        EXPORTED.labels("ok" if result is SpanExportResult.SUCCESS else "failed").inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _resource(service: str) -> Resource:
    """Describe this process; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come first."""
    ours = Resource(
        {
            SERVICE_NAME: service,
            "service.namespace": "telematics-ingress",
            "service.version": version("telematics-ingress"),
        }
    )
    given = Resource.create()
    unnamed = str(given.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    return given.merge(ours) if unnamed else ours.merge(given)


def _recorded(traceparent: str) -> Context | None:
    """Return the context of a `traceparent` whose trace is recorded; None of any other text."""
    context = _PROPAGATOR.extract({_TRACEPARENT: traceparent}, Context())
    found = trace.get_current_span(context).get_span_context()
    return context if found.is_valid and found.trace_flags.sampled else None


def _given(attributes: Attributes) -> dict[str, str | int | float]:
    return {name: value for name, value in attributes.items() if value is not None}


def _spoil(span: trace.Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(Status(StatusCode.ERROR, error))
