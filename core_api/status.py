"""What the API's metrics mean, for `ingress status`. Pure, and without the extra's libraries."""

from collections.abc import Iterator

from ingress_runtime.status.queues import Queue, section
from ingress_runtime.status.section import Cause, Figure, Level, Section, Symptom, Unit
from ingress_runtime.status.window import Window

_HERE = "in the publisher"
"""What the API refuses for pressure waits there."""

_QUEUES = {
    "api envelopes": ("core_api_queue_envelopes", "core_api_queue_limit_envelopes"),
    "api bytes": ("core_api_work_bytes", "core_api_work_limit_bytes"),
    "api connections": ("core_api_connections", "core_api_connections_limit"),
}


def contribute(window: Window) -> Iterator[Section]:
    """Yield what the API's processes tell. See ingress_runtime.status.section.Contributor."""
    queues = [
        Queue(name, window.total(used), window.total(limit), sized=used.endswith("_bytes"))
        for name, (used, limit) in _QUEUES.items()
    ]
    part = section([queue for queue in queues if queue.used is not None], _symptoms(window))
    refused = window.rate("core_api_refused_requests_total")
    figure = Figure(
        "refused_requests_per_second",
        "requests that the API refuses for pressure",
        refused,
        Unit.RATE,
        Level.NOTICE if refused else Level.WELL,
    )
    yield Section(part.key, part.title, (figure,), part.tables, part.symptoms)


def _symptoms(window: Window) -> Iterator[Symptom]:
    if window.since_start:  # what was refused once is no trouble now
        return
    for (reason,), rate in window.rates("core_api_refused_requests_total", ["reason"]).items():
        if rate:
            words = f"core refuses requests for pressure ({reason}, {rate:,.1f}/s)"
            yield Cause(f"refused_{reason}", _HERE, words, Level.NOTICE)
