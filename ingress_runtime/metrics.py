"""The scrape endpoint. Metrics themselves stand beside the code that they measure."""

import platform
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread
from types import TracebackType
from typing import Self

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# A series more for each counter and histogram, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library's

BUILD = Gauge(
    "ingress_build_info",
    "What runs here: the version of this package, and Python's. Always 1.",
    ["version", "python"],
)
BUILD.labels(version("telematics-ingress"), platform.python_version()).set(1)

Probe = Callable[[], bool | str]
"""Returns whether all is well, or in words what is not."""


def render(registry: CollectorRegistry = REGISTRY) -> tuple[bytes, str]:
    """Return the metrics of this process in Prometheus text format, and their content type."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


class MetricsServer:
    """A scrape endpoint on a thread of its own; `close` ends both. Also a context manager."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self._thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        """The address that is listened on."""
        return str(self._server.server_address[0])

    @property
    def port(self) -> int:
        """The port that is listened on, also where 0 asked for a free one."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and wait for the thread. Safe to call again."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def start_server(
    host: str, port: int, *, probes: Mapping[str, Probe] | None = None
) -> MetricsServer:
    """Serve `/metrics` on `host`:`port` (0: a free port) for a process without HTTP of its own.

    `probes` are further paths (`{"/livez": ...}`): 200 `ok` where the probe returns True, otherwise
    503 with `not ok` or the probe's own words. They are called on the server's threads, so they must only read. Raises
    OSError where the address cannot be bound.
    """
    answers = dict(probes or {})

    class Handler(_Handler):
        probes = answers

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return MetricsServer(server)


class _Handler(BaseHTTPRequestHandler):
    probes: Mapping[str, Probe] = {}
    timeout = 10.0  # seconds; a client that says nothing does not hold its thread for ever

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            body, content_type = render()
            self._answer(HTTPStatus.OK, body, content_type)
        elif (probe := self.probes.get(path)) is None:
            self._answer(HTTPStatus.NOT_FOUND, b"not found; metrics are at /metrics\n")
        elif (found := probe()) is True:
            self._answer(HTTPStatus.OK, b"ok\n")
        else:
            why = found or "not ok"
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{why}\n".encode())

    def _answer(
        self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — http.server's name
        """Stay silent: a scrape every few seconds is no event."""
