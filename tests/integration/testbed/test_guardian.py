import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import psutil
import pytest

from ingress_testbed.servers import guardian

T = TypeVar("T")

GENTLE = guardian.Manner(signal.SIGTERM, grace_seconds=30)
IMPATIENT = guardian.Manner(signal.SIGTERM, grace_seconds=0.1)
SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
CALLER = f"""
import signal, sys
from ingress_testbed.servers import guardian
with open(sys.argv[1], "wb") as log:
    process = guardian.start(
        [sys.executable, "-c", {SLEEPER!r}], log=log, manner=guardian.Manner(signal.SIGTERM, 30)
    )
print(process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "log").open("wb") as file:
        yield file


def eventually(look: Callable[[], T]) -> T:
    """Return the first truth that `look` finds; looks for at most 20 s."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.01)
    pytest.fail("waited 20 s in vain")


def started(code: str, log: IO[bytes], manner: guardian.Manner) -> subprocess.Popen[bytes]:
    process = guardian.start([sys.executable, "-c", code], log=log, manner=manner)
    eventually(lambda: "ready" in Path(log.name).read_text())
    return process


def child_of(pid: int) -> psutil.Process:
    return eventually(lambda: psutil.Process(pid).children())[0]


def test_the_guardian_ends_with_the_command_and_carries_its_exit_code(log: IO[bytes]) -> None:
    process = guardian.start([sys.executable, "-c", "raise SystemExit(7)"], log=log, manner=GENTLE)
    assert process.wait() == 7
    assert guardian.stop(process) == 7


def test_stopping_sends_the_signal_and_waits_for_the_end(log: IO[bytes]) -> None:
    process = started(SLEEPER, log, GENTLE)
    child = child_of(process.pid)
    assert guardian.stop(process) == 128 + signal.SIGTERM
    assert not child.is_running()


def test_a_command_that_ignores_the_signal_is_killed_after_the_grace(log: IO[bytes]) -> None:
    process = started(STUBBORN, log, IMPATIENT)
    assert guardian.stop(process) == 128 + signal.SIGKILL


def test_a_paused_command_is_left_alone(log: IO[bytes]) -> None:
    process = started(SLEEPER, log, GENTLE)
    child = child_of(process.pid)
    child.suspend()
    eventually(lambda: child.status() == psutil.STATUS_STOPPED)
    child.resume()
    eventually(lambda: child.status() == psutil.STATUS_SLEEPING)
    assert process.poll() is None
    guardian.stop(process)


def test_a_command_outlives_neither_its_caller_nor_its_guardian(tmp_path: Path) -> None:
    for kill_guardian in (False, True):
        with subprocess.Popen(
            [sys.executable, "-c", CALLER, str(tmp_path / "log")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as caller:
            assert caller.stdout is not None
            pid = int(caller.stdout.readline())
            child = child_of(pid)
            eventually(lambda: "ready" in (tmp_path / "log").read_text())
            if kill_guardian and sys.platform == "linux":
                psutil.Process(pid).kill()
                eventually(lambda: not child.is_running())  # noqa: B023 — called at once
            caller.kill()
        eventually(lambda: not child.is_running())  # noqa: B023 — called at once
