import asyncio
import os
import signal
import subprocess
import sys

import pytest

from ingress_runtime import shutdown

pytestmark = pytest.mark.anyio

STUBBORN = """
import asyncio, sys, time
from ingress_runtime import shutdown

async def main() -> None:
    async with shutdown.on_signals() as stop:
        print("ready", flush=True)
        await stop.wait()
        print("asked", flush=True)
        time.sleep(3600)  # a blocked loop: only the operating system can help

asyncio.run(main())
"""


@pytest.mark.parametrize("number", shutdown.SIGNALS)
async def test_a_signal_asks_for_the_end(number: signal.Signals) -> None:
    async with shutdown.on_signals() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), timeout=30)
        assert stop.requested


async def test_previous_handlers_return_on_leaving() -> None:
    before = [signal.getsignal(number) for number in shutdown.SIGNALS]
    async with shutdown.on_signals() as stop:
        stop.request()
        stop.request()
        await stop.wait()
    assert [signal.getsignal(number) for number in shutdown.SIGNALS] == before


@pytest.mark.parametrize("number", shutdown.SIGNALS)
def test_a_second_signal_ends_a_blocked_process_at_once(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            assert "asked\n" in iter(process.stdout.readline, "")
            process.send_signal(number)
            assert process.wait(timeout=30) == -number
        finally:
            process.kill()
