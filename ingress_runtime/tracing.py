"""Traces: off unless a setting says otherwise, and then made by OpenTelemetry.

The edge decides by chance which frames are traced; such a frame's envelope carries a `traceparent`
(W3C Trace Context), and whoever meets one that says so adds spans. Nothing else is traced. What is
off costs a look at `spans()`: OpenTelemetry is imported by `ingress_runtime.spans` alone, and that
once it is needed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from prometheus_client import Counter
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from structlog.typing import EventDict

from ingress_runtime.settings import Settings, SettingsError

if TYPE_CHECKING:
    from ingress_runtime.spans import Spans

ENDED = Counter(
    "ingress_spans_ended_total",
    "Spans that ended. Those which are not exported either wait or were dropped from a full queue.",
)
EXPORTED = Counter(
    "ingress_spans_exported_total",
    "Spans for which an export was attempted, by what came of it: ok or failed.",
    ["result"],
)
for _result in ("ok", "failed"):
    EXPORTED.labels(_result)

Attributes: TypeAlias = Mapping[str, str | int | float | None]
"""Attributes of a span; those that are None are left out."""

_MISSING = (
    "  INGRESS_TRACING='otlp': OpenTelemetry is not installed. Install it: "
    "pip install 'telematics-ingress[tracing]', or in a checkout '.[tracing]'; or set "
    "INGRESS_TRACING=off."
)


class TracingSettings(Settings):
    """Whether messages are traced, and how many.

    Where spans go is OpenTelemetry's own to say: OTEL_EXPORTER_OTLP_ENDPOINT and its kin.
    """

    model_config = SettingsConfigDict(env_prefix="INGRESS_")

    tracing: Literal["off", "otlp"] = Field(
        default="off",
        description="Whether spans are exported: `off`, or `otlp`, over HTTP to "
        "OTEL_EXPORTER_OTLP_ENDPOINT; needs the extra `tracing`.",
    )
    trace_ratio: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of frames that the edge has traced. Core follows what the edge decided.",
    )


_DESCRIBED = {
    "id": "cloudevents.event_id",
    "source": "cloudevents.event_source",
    "type": "cloudevents.event_type",
    "subject": "cloudevents.event_subject",
    "provider": "ingress.provider",
    "workspaceid": "ingress.workspace",
}


def described(envelope: object) -> dict[str, str | int | float | None]:
    """Return what a span says of an envelope, by OpenTelemetry's names for CloudEvents.

    Unlike metrics, traces may name workspaces and vehicles.
    """
    return {name: getattr(envelope, attribute) for attribute, name in _DESCRIBED.items()}


_spans: "Spans | None" = None  # process-wide, as the exporter's queue and its thread are


def spans() -> "Spans | None":
    """Return what makes spans, or None where tracing is off."""
    return _spans


@contextmanager
def started(settings: TracingSettings, service: str) -> Iterator[None]:
    """Trace inside, as `settings` say; `service` is this process's name in traces.

    On leaving, what waits for its export gets two seconds. Raises SettingsError where OpenTelemetry
    is not installed or does not take what OTEL_* say.
    """
    global _spans  # noqa: PLW0603 — see above
    if settings.tracing == "off":
        yield
        return
    _spans = _made(settings, service)
    try:
        yield
    finally:
        ending, _spans = _spans, None
        ending.close()


def name_trace(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Add `trace_id` to an event that is logged within a span (a structlog processor)."""
    if _spans is not None and (trace_id := _spans.current()) is not None:
        event.setdefault("trace_id", trace_id)
    return event


def _made(settings: TracingSettings, service: str) -> "Spans":
    try:
        from ingress_runtime.spans import Spans, exporting  # noqa: PLC0415 — what is off needs no extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        raise SettingsError([_MISSING]) from error
    try:
        return Spans(exporting(service), ratio=settings.trace_ratio)
    except ValueError as error:
        raise SettingsError(
            [f"  a variable OTEL_* is not valid: {error}. Set it right."]
        ) from error
