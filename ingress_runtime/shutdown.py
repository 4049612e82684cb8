"""Graceful shutdown: the first signal asks, the second one ends."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


class Shutdown:
    """Whether this process was asked to end, and a way to wait for it."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether the end was asked for."""
        return self._requested.is_set()

    async def wait(self) -> None:
        """Return once the end was asked for."""
        await self._requested.wait()

    def request(self) -> None:
        """Ask for the end, as a signal does. Asking again changes nothing."""
        self._requested.set()


@asynccontextmanager
async def on_signals() -> AsyncIterator[Shutdown]:
    """Yield a Shutdown that SIGTERM or SIGINT requests; the previous handlers return on leaving.

    Main thread only. From the first signal on, both signals have the operating system's default
    action: a second one ends the process at once, even where the event loop is blocked.
    """
    loop = asyncio.get_running_loop()
    stop = Shutdown()
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def ask(number: signal.Signals) -> None:
        for each in SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        log.info("shutdown_requested", signal=number.name, pid=os.getpid())
        stop.request()

    for number in SIGNALS:
        loop.add_signal_handler(number, ask, number)
    try:
        yield stop
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, previous[number])
