"""A stream that lives and says nothing: when its last frame came, and a word about it, once.

A parked fleet is silent for hours, so nobody is cut off for it. But a subscription that somebody
else took over is silent too, answers pings, and looks well by every other measure.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import Gauge

from telematics_publisher.records import instant
from telematics_publisher.words import short

LAST_FRAME = Gauge(
    "publisher_stream_last_frame_timestamp_seconds",
    "When a stream's last frame came, in seconds since 1970; 0: none came since the start. Of "
    "streams of one name in several workspaces, the one that is silent longest.",
    ["provider", "stream"],
)

TOLD_AFTER_SECONDS = 300.0
"""How long a silence lasts until it is spoken of."""

_REMEDY = (
    "where these vehicles are parked, all is well; where they drive, try the stream with "
    "`ingress publisher check`, and see whether something else subscribes with the same key"
)

_streams: dict[tuple[str, str], list["Silence"]] = {}


class Silence:
    """Of one stream: when its last frame came, and whether its silence was spoken of. `log` is bound."""

    def __init__(self, provider: str, stream: str, log: Any) -> None:
        self.last = 0
        self._told = False
        self._labels = (provider, stream)
        self._log = log

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let the metrics show it for as long as the context lasts."""
        alike = _streams.setdefault(self._labels, [])
        alike.append(self)
        LAST_FRAME.labels(*self._labels).set_function(_oldest(alike))
        try:
            yield
        finally:
            alike.remove(self)
            if not alike:
                LAST_FRAME.remove(*self._labels)

    def broken(self, received: int) -> None:
        """Take note of a frame, received at so many µs since 1970."""
        if self._told:
            self._told = False
            self._log.info("stream_speaks_again", last_frame=_shown(self.last))
        self.last = received

    def lasts(self, seconds: float) -> None:
        """Speak of a silence that has lasted so long, unless that was done."""
        if self._told or seconds < TOLD_AFTER_SECONDS:
            return
        self._told = True
        self._log.warning(
            "stream_silent",
            seconds=round(seconds),
            last_frame=_shown(self.last),
            remedy=_REMEDY,
        )


def _oldest(alike: list[Silence]) -> Callable[[], float]:
    return lambda: min((one.last for one in list(alike)), default=0) / 1e6


def _shown(last: int) -> str:
    return short(instant(last)) if last else "none since the start"
