"""How much the ingest door takes at once: requests of one key, and bytes of the process.

Envelopes are bounded by the group commit's queue. The policy when full is to refuse at once, with
Retry-After: the publisher's journal is the place to wait in.
"""

from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge

from core_api.problems import OVERLOADED, TOO_MANY_REQUESTS, Problem, retry_after

REFUSED_REQUESTS = Counter(
    "core_api_refused_requests_total",
    "Requests refused for pressure, by reason: key_busy, bytes, envelopes, reads, shutting_down.",
    ("reason",),
)
for _reason in ("key_busy", "bytes", "envelopes", "reads", "shutting_down"):
    REFUSED_REQUESTS.labels(_reason)
WORK_BYTES = Gauge("core_api_work_bytes", "Bytes of inflated request bodies in work.")
WORK_BYTES_LIMIT = Gauge("core_api_work_limit_bytes", "Most bytes of bodies taken into work.")

_RETRY_SECONDS = 1


def overloaded(reason: str, detail: str) -> Problem:
    """Return the 503 of a full process, counted under `reason`."""
    REFUSED_REQUESTS.labels(reason).inc()
    remedy = f"Try again in {_RETRY_SECONDS} s; where it persists, run more API processes."
    return Problem(OVERLOADED, detail, remedy, headers=retry_after(_RETRY_SECONDS))


class Ticket:
    """What one admitted request holds; its bytes are given back when the request ends."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self.held = 0

    def hold(self, size: int) -> None:
        """Take `size` more bytes into work. Raises Problem (503) when the process is full."""
        self._admission.take(size)
        self.held += size


class Admission:
    """Counts what is in work: `max_bytes` in the process, `max_requests` of one key."""

    def __init__(self, *, max_bytes: int, max_requests: int) -> None:
        self._max_bytes = max_bytes
        self._max_requests = max_requests
        self._bytes = 0
        self._requests: Tally[str] = Tally()
        WORK_BYTES_LIMIT.set(max_bytes)

    @contextmanager
    def admit(self, key: str) -> Iterator[Ticket]:
        """Admit a request of the key with this id for the length of the block.

        Raises Problem: 429 while `max_requests` of the key are in work, 503 when the process is
        full.
        """
        if self._requests[key] >= self._max_requests:
            REFUSED_REQUESTS.labels("key_busy").inc()
            raise Problem(
                TOO_MANY_REQUESTS,
                f"{self._max_requests} requests of this key are in work, which is the limit.",
                "Wait for answers before sending more; larger batches need fewer requests.",
                headers=retry_after(_RETRY_SECONDS),
            )
        ticket = Ticket(self)
        self._requests[key] += 1
        try:
            yield ticket
        finally:
            self._requests[key] -= 1
            if not self._requests[key]:
                del self._requests[key]
            self.give_back(ticket.held)

    def take(self, size: int) -> None:
        """Count `size` bytes in. Raises Problem (503) where they would pass the limit."""
        if self._bytes + size > self._max_bytes:
            raise overloaded(
                "bytes",
                f"{self._bytes} bytes of requests are in work; the limit is {self._max_bytes}.",
            )
        self._bytes += size
        WORK_BYTES.set(self._bytes)

    def give_back(self, size: int) -> None:
        """Count `size` bytes out."""
        self._bytes -= size
        WORK_BYTES.set(self._bytes)
