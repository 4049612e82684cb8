import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from ingress_testbed.demo.memory import PeakMemory
from ingress_testbed.demo.processes import Process, ProcessEnded, Processes, environment

pytestmark = pytest.mark.anyio

WAITS = """
import signal, sys
print(sys.argv[1], flush=True)
signal.pause()
"""
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{WAITS}"
FAILS = "print('the reason'); raise SystemExit(3)"


async def start(
    processes: Processes, name: str, program: str = WAITS, *, grace_seconds: float = 10.0
) -> Process:
    command = [sys.executable, "-c", program, "ready"]
    return await processes.start(name, command, environment(), grace_seconds=grace_seconds)


async def ready(processes: Processes, process: Process) -> None:
    async def said() -> bool | None:
        return True if "ready" in process.lines() else None

    await processes.ready(process, said)


def tree(process: Process) -> list[psutil.Process]:
    guardian = psutil.Process(process.pid)
    return [guardian, *guardian.children(recursive=True)]


async def test_nothing_is_left_running_at_the_end(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        first, second = await start(processes, "first"), await start(processes, "second")
        await ready(processes, first)
        await ready(processes, second)
        running = tree(first) + tree(second)

    assert len(running) == 4
    assert not any(process.is_running() for process in running)


async def test_nothing_is_left_running_after_an_error(tmp_path: Path) -> None:
    running: list[psutil.Process] = []

    async def fail_at_work() -> None:
        async with Processes(tmp_path) as processes:
            process = await start(processes, "one")
            await ready(processes, process)
            running.extend(tree(process))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_at_work()

    assert len(running) == 2
    assert not any(process.is_running() for process in running)


async def test_process_that_ignores_the_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        process = await start(processes, "stubborn", STUBBORN, grace_seconds=0.1)
        await ready(processes, process)

        assert await processes.stop(process) == 128 + 9


async def test_process_that_ends_before_it_is_ready_shows_its_log(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        process = await start(processes, "broken", FAILS)

        with pytest.raises(ProcessEnded, match=r"broken ended .* code 3[^$]*the reason"):
            await ready(processes, process)


async def test_process_that_is_never_ready_is_told_with_its_log(tmp_path: Path) -> None:
    async def never() -> None:
        return None

    async with Processes(tmp_path) as processes:
        process = await start(processes, "slow")
        await ready(processes, process)

        with pytest.raises(ProcessEnded, match=r"slow was not ready"):
            await processes.ready(process, never, seconds=0.01)


async def test_work_is_cut_short_when_a_process_ends_unasked(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        await ready(processes, await start(processes, "sound"))
        await start(processes, "broken", FAILS)

        with pytest.raises(ProcessEnded, match="broken"):
            await processes.guard(asyncio.sleep(600))


async def test_guarded_work_returns_what_it_returns(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        await ready(processes, await start(processes, "sound"))

        assert await processes.guard(asyncio.sleep(0, "result")) == "result"


async def test_peak_memory_of_a_tree_is_seen_and_kept_after_its_end(tmp_path: Path) -> None:
    memory = PeakMemory()
    async with Processes(tmp_path) as processes:
        process = await start(processes, "one")
        await ready(processes, process)
        memory.look({"one": process.pid, "gone": _no_process()})
    seen = memory.by_name["one"]
    memory.look({"one": process.pid})

    assert seen > 1_000_000
    assert memory.by_name == {"one": seen, "gone": 0}


def _no_process() -> int:
    return max(psutil.pids()) + os.getpid()
