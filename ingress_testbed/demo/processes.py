"""The demo's child processes. None outlives the demo, whatever happens to it.

Each runs under a guardian of its own (`ingress_testbed.servers.guardian`), which stops it when the
demo asks for it, or is no more.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import click

from ingress_testbed.servers import guardian

T = TypeVar("T")

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH")
_INGRESS = "from ingress_runtime.cli import main; main(prog_name='ingress')"
_TAIL_LINES = 20
_LOOK_EVERY_SECONDS = 0.05
_GUARDIAN_SECONDS = 5.0  # the guardian's own start and end, on top of its child's grace


class ProcessEnded(click.ClickException):
    """A process ended that nobody had asked to, or did not come up in time."""

    def __init__(self, name: str, what: str, tail: Sequence[str]) -> None:
        log = "\n".join(f"  {line}" for line in tail) or "  (nothing)"
        super().__init__(f"{name} {what}. The end of its log:\n{log}")


class Process:
    """One child: its name, its log, and the pid of the guardian above it."""

    def __init__(
        self, name: str, log: Path, child: asyncio.subprocess.Process, grace_seconds: float
    ) -> None:
        self.name = name
        self._log = log
        self._child = child
        self._grace_seconds = grace_seconds
        self.end: asyncio.Task[int] = asyncio.create_task(child.wait(), name=f"{name} ends")

    @property
    def pid(self) -> int:
        """The guardian's process id; the process itself is its child."""
        return self._child.pid

    def ended(self, what: str | None = None) -> ProcessEnded:
        """Return the error that tells how this process ended, or `what` else is wrong with it."""
        what = what or f"ended unasked with exit code {self._child.returncode}"
        return ProcessEnded(self.name, what, self.tail())

    def tail(self, lines: int = _TAIL_LINES) -> list[str]:
        """Return the last lines of the log."""
        return self.lines()[-lines:]

    def lines(self) -> list[str]:
        """Return all lines of the log so far."""
        return self._log.read_text(errors="replace").splitlines()

    async def stop(self) -> int:
        """Ask the process to end, and kill it after its grace. Return the exit code."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            async with asyncio.timeout(self._grace_seconds + _GUARDIAN_SECONDS):
                return await asyncio.shield(self.end)
        except TimeoutError:  # the guardian itself is stuck; with it goes its child
            self._child.kill()
            return await self.end


class Processes:
    """Children with logs in `directory`; as a context manager it stops them, the last one first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[Process] = []

    async def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        grace_seconds: float = 10.0,
    ) -> Process:
        """Start `command` with `environment` and nothing inherited; both outputs go to `name`.log.

        SIGTERM asks it to end; `grace_seconds` later it is killed.
        """
        log = self._directory / f"{name}.log"
        guard = [str(signal.SIGTERM.value), str(grace_seconds), "-1", "-1"]
        with log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                guardian.__file__,
                *guard,
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its children
            )
        process = Process(name, log, child, grace_seconds)
        self._running.append(process)
        return process

    async def run(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run `command` to its end. Raises ProcessEnded, with what it said, if it fails."""
        process = await self.start(name, command, environment)
        code = await asyncio.shield(process.end)
        self._running.remove(process)
        if code != 0:
            raise process.ended(f"failed with exit code {code}")

    async def ready(
        self,
        process: Process,
        probe: Callable[[], Awaitable[T | None]],
        *,
        seconds: float = 30.0,
        every: float = _LOOK_EVERY_SECONDS,
    ) -> T:
        """Return the first answer of `probe` that is not None; it is asked `every` so many seconds.

        Raises ProcessEnded if `process` ends before, or has no answer after `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                while (answer := await probe()) is None:
                    if process.end.done():
                        raise process.ended()
                    await asyncio.sleep(every)
        except TimeoutError:
            raise process.ended(f"was not ready after {seconds:.0f} seconds") from None
        return answer

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns; cancel it and raise ProcessEnded if a process ends meanwhile."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait(
                [task, *(process.end for process in self._running)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not task.done():
                raise next(one for one in self._running if one.end.done()).ended()
            return task.result()
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def stop(self, process: Process) -> int:
        """Stop one process; from now on its end is no error. Return its exit code."""
        self._running.remove(process)
        return await process.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._running:
            await self._running.pop().stop()


def ingress(*arguments: str) -> list[str]:
    """Return the command line of `ingress` with `arguments`, in the Python that runs this."""
    return [sys.executable, "-P", "-c", _INGRESS, *arguments]


def environment(**variables: str) -> dict[str, str]:
    """Return an environment with `variables`; from ours come only what any program needs.

    No setting of ours is inherited: what the person at the terminal has exported for another
    installation must not reach the demo's processes.
    """
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return kept | variables
