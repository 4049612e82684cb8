"""A collector of traces as OpenTelemetry's exporters meet it: OTLP over HTTP, in protobuf."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE = 60


@dataclass(frozen=True)
class Span:
    """A span as it was exported; ids in hexadecimal, times in ns."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    begun: int
    ended: int
    attributes: Mapping[str, Any]


@dataclass
class Collector:
    """What was exported to it. While `deaf`, it takes requests and never answers."""

    url: str
    requests: int = 0
    spans: list[Span] = field(default_factory=list)
    deaf: threading.Event = field(default_factory=threading.Event)
    heard: threading.Condition = field(default_factory=threading.Condition)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def environ(self) -> dict[str, str]:
        """What a process is told so that it exports here, all of it and soon."""
        return {
            "INGRESS_TRACING": "otlp",
            "INGRESS_TRACE_RATIO": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def traces(self) -> dict[str, list[Span]]:
        """Return the spans of each trace in the order in which they began."""
        found: dict[str, list[Span]] = {}
        for span in sorted(self.spans, key=lambda one: (one.begun, one.ended)):
            found.setdefault(span.trace, []).append(span)
        return found

    def until(self, condition: Callable[[dict[str, list[Span]]], bool]) -> dict[str, list[Span]]:
        """Wait until the traces are as they should be, and return them."""
        deadline = time.monotonic() + PATIENCE
        with self.heard:
            while not condition(self.traces()):
                left = deadline - time.monotonic()
                assert left > 0, self.traces()
                self.heard.wait(left)
            return self.traces()

    def take(self, body: bytes) -> None:
        with self.heard:
            self.requests += 1
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
            self.heard.notify_all()


@contextmanager
def collecting() -> Iterator[Collector]:
    """Serve a collector."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if collector.deaf.is_set():
                collector.closing.wait()
                return
            assert self.path == "/v1/traces"
            collector.take(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        names = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for one in scope.spans:
                yield Span(
                    service=names["service.name"],
                    name=one.name,
                    trace=one.trace_id.hex(),
                    id=one.span_id.hex(),
                    parent=one.parent_span_id.hex(),
                    begun=one.start_time_unix_nano,
                    ended=one.end_time_unix_nano,
                    attributes={
                        each.key: getattr(each.value, each.value.WhichOneof("value") or "")
                        for each in one.attributes
                    },
                )
