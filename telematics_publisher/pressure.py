"""Backpressure at the edge: how long each queue let nothing in or out, and why.

A record passes three of them: the intake, between a socket and the journal; the journal; and the
window of batches in flight. What holds one up fills the one before it, so the last is to blame.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ingress_runtime.held import HeldSeconds
from telematics_publisher.clock import Seconds
from telematics_publisher.errors import CAUSES, BatchRefused, TransportError
from telematics_publisher.retry import is_retryable

BACKPRESSURE = HeldSeconds(
    "publisher_backpressure_seconds_total",
    "Time in which a queue let nothing in or out. The intake waits for the journal. The journal is at "
    "its limit, or its disk is full. The window is full of batches that are not answered yet, or "
    "waits for a checkpoint; or, while attempts fail or the sender has stopped, for the cause.",
    ["queue", "reason"],
    known=[
        ("intake", "journal"),
        ("journal", "limit"),
        ("journal", "disk_full"),
        *(
            ("window", reason)
            for reason in ("full", "checkpoint", *CAUSES)
            if reason != BatchRefused.cause  # that is an answer
        ),
    ],
)


class WindowPressure:
    """Why one sender's window takes no further batch, if it does not."""

    def __init__(self, clock: Seconds) -> None:
        self._hold = BACKPRESSURE.hold(clock)
        self._waits: str | None = None
        self._trouble: str | None = None

    def failed(self, error: TransportError) -> None:
        """Take note of an attempt that failed: what waits, waits for its cause."""
        self._note(error.cause if is_retryable(error) else None)

    def answered(self) -> None:
        """Take note of an answer."""
        self._note(None)

    @contextmanager
    def waiting(self, reason: str) -> Iterator[None]:
        """Let nothing out for as long as the context lasts: for `reason`, while no attempt fails."""
        self._waits = reason
        self._show()
        try:
            yield
        finally:
            self._waits = None
            self._show()

    def _note(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._show()

    def _show(self) -> None:
        if self._waits is None:
            self._hold.end()
        else:
            self._hold.begin("window", self._trouble or self._waits)
