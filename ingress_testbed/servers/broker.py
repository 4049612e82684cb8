"""One broker: a process that can be killed, stopped, hung, and started again on what it left."""

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

from ingress_testbed.servers import guardian
from ingress_testbed.servers.errors import ServerFailedError
from ingress_testbed.servers.kafka_probe import known_brokers

if TYPE_CHECKING:
    import subprocess

_START_SECONDS = 60
_LOOK_EVERY_SECONDS = 0.02


class Broker(Protocol):
    """A member of a cluster that is ours to mistreat."""

    @property
    def pid(self) -> int:
        """The process id, while it runs."""

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1, the same after a restart."""

    def start(self) -> None:
        """Start it again on the same port and data; return once it answers."""

    def stop(self) -> None:
        """End it as an operator would, and wait for the end."""

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""

    def hang(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""

    def resume(self) -> None:
        """SIGCONT."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes a broker: its command, its address, the file for its log, and how it ends."""

    name: str
    command: Sequence[str]
    port: int
    log: Path
    manner: guardian.Manner


class OwnBroker:
    """A broker process under a guardian, which ends it should we die."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._guardian: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The broker's process id, while it runs. Raises ServerFailedError when it does not."""
        return self._process().pid

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1, the same after a restart."""
        return self._recipe.port

    def start(self) -> None:
        """Start it and return once it answers. Raises ServerFailedError with the log's end."""
        self.launch()
        self.wait_until_it_knows({self.port})

    def launch(self) -> None:
        """Start the process without waiting, so that several can come up together."""
        if self._guardian is not None:
            raise ServerFailedError(f"{self._recipe.name} runs already")
        with self._recipe.log.open("ab") as log:
            self._guardian = guardian.start(
                self._recipe.command, log=log, manner=self._recipe.manner
            )

    def wait_until_it_knows(self, ports: AbstractSet[int]) -> None:
        """Return once it answers and lists the live brokers at `ports`, which may be its own.

        Raises ServerFailedError if it ended or took a minute; it is killed then.
        """
        deadline = time.monotonic() + _START_SECONDS
        while self._guardian is not None and self._guardian.poll() is None:
            if known_brokers(self.port) >= ports:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(_LOOK_EVERY_SECONDS)
        self.kill()
        raise ServerFailedError(f"{self._recipe.name} did not start.\n{self._log_tail()}")

    def stop(self) -> None:
        """End it as an operator would, and wait. One that hangs is resumed to hear of it."""
        if self._guardian is None:
            return
        if self._guardian.poll() is None:
            self.resume()
        guardian.stop(self._guardian)
        self._guardian = None

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._guardian is None:
            return
        for process in self._children():
            process.kill()
        guardian.stop(self._guardian)
        self._guardian = None

    def hang(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self._process().suspend()

    def resume(self) -> None:
        """SIGCONT."""
        self._process().resume()

    def _process(self) -> psutil.Process:
        children = self._children()
        if not children:
            raise ServerFailedError(f"{self._recipe.name} does not run.\n{self._log_tail()}")
        return children[0]

    def _children(self) -> list[psutil.Process]:
        """Return the guardian's child, if both live."""
        if self._guardian is None or self._guardian.poll() is not None:
            return []
        return psutil.Process(self._guardian.pid).children()

    def _log_tail(self, lines: int = 15) -> str:
        log = self._recipe.log
        tail = log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"The end of {log}:", *(f"  {line}" for line in tail)])
