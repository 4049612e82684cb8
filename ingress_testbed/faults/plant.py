"""The whole system on this machine, made to be broken: each process can be killed and begun anew."""

import signal
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from ingress_testbed.demo.ground import Ground
from ingress_testbed.demo.installation import WORKSPACE, streams_toml, way_to_core
from ingress_testbed.demo.observer import sums
from ingress_testbed.demo.processes import Process
from ingress_testbed.demo.programs import (
    start_api,
    start_consumer,
    start_publisher,
    start_simulator,
)
from ingress_testbed.demo.survey import Survey
from ingress_testbed.faults.design import API, PUBLISHER, PUBLISHER_ID, SIMULATOR, Design, Secrets
from ingress_testbed.servers.ports import free_port
from ingress_testbed.simulator.protocol import RESEND_PATH, STATUS_PATH

_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.5
_GRACE_SECONDS = 60.0
_MEASURING_SECONDS = 600.0  # the simulator first reads its recording to the end
_NOTHING: Mapping[str, str] = {}
_SOON_BACK: Mapping[str, str] = {
    "CORE_CONSUMER_REBALANCE_SECONDS": "6",
    "CORE_CONSUMER_RETRY_SECONDS": "1",
    "CORE_CONSUMER_SESSION_SECONDS": "3",
}
"""A dead member is found out soon, and what was away is missed no longer than that."""


class Plant:
    """A simulator that runs, and core and a publisher that are started by whoever holds this.

    Where there is a `queue`, the publisher sends to it, and core is consumers too.

    Each start is a life of its own, with a log of its own: `publisher-3.log` in `directory`.
    """

    def __init__(
        self, *, design: Design, directory: Path, found: Survey, base: Ground, secrets: Secrets
    ) -> None:
        self.design = design
        self.directory = directory
        self.frames = found.frames
        self.pool = base.pool
        self.queue = base.queue
        self.secrets = secrets
        self.running: dict[str, Process] = {}
        self._found = found
        self._processes = base.processes
        self._database_url = base.database_url
        self._lives: Counter[str] = Counter()
        self._api_port = free_port()
        self._metrics_urls: dict[str, str] = {}
        self._provider = ""
        self._http = httpx.AsyncClient(timeout=_SECONDS)

    @property
    def api_url(self) -> str:
        """Where core's API is, in every life of it, as behind a load balancer."""
        return f"http://127.0.0.1:{self._api_port}"

    @property
    def metrics_url(self) -> str:
        """Where the publisher's present life serves its metrics."""
        return self._metrics_urls[PUBLISHER]

    @property
    def journal(self) -> Path:
        """The publisher's journal."""
        return self.directory / f"{WORKSPACE}.journal"

    async def start(self, name: str, extra: Mapping[str, str] = _NOTHING) -> Process:
        """Begin a life of a process, with `extra` settings, and wait until it is up.

        Raises ProcessEnded where it does not come up.
        """
        self._lives[name] += 1
        life = f"{name}-{self._lives[name]}"
        if name == API:
            process = await self._start_api(life, extra)
        elif name == PUBLISHER:
            process = await self._start_publisher(life, extra)
        else:
            process = await self._start_consumer(name, life, extra)
        self.running[name] = process
        return process

    async def kill(self, name: str) -> None:
        """End the present life by SIGKILL, and wait until it has ended."""
        process = self.running.pop(name)
        for child in psutil.Process(process.pid).children():  # the guardian's, which tells its end
            child.kill()
        await process.end

    async def stop(self, name: str) -> int:
        """Ask the present life to end and return its exit code."""
        return await self._processes.stop(self.running.pop(name))

    async def end_replay(self) -> None:
        """End the recording where it is. From then on `frames` are those that were sent."""
        for child in psutil.Process(self.running[SIMULATOR].pid).children():
            child.send_signal(signal.SIGUSR1)
        self.frames = await self.all_sent(_SECONDS)

    async def all_sent(self, seconds: float, look: Callable[[], None] = lambda: None) -> int:
        """Return how many frames the provider has sent once they are all, calling `look` meanwhile.

        Raises ProcessEnded where the publisher has ended, or after `seconds`.
        """

        async def sent() -> int | None:
            look()
            provider = await self.provider()
            return provider["sent"] if provider["finished"] else None

        publisher = self.running[PUBLISHER]
        return await self._processes.ready(
            publisher, sent, seconds=seconds, every=_LOOK_EVERY_SECONDS
        )

    async def metrics(self, name: str = PUBLISHER) -> Mapping[str, float]:
        """Return the metrics of the publisher, or a consumer, each summed over its labels."""
        response = await self._http.get(self._metrics_urls[name])
        return sums(response.text)

    async def provider(self) -> Mapping[str, int]:
        """Return what the simulator says of the publisher's key."""
        response = await self._http.get(f"http://{self._provider}{STATUS_PATH}")
        status: Mapping[str, int] = response.json()["keys"]["key-1"]
        return status

    async def accounting(self) -> Mapping[str, int]:
        """Return core's accounting of the workspace."""
        accounting: Mapping[str, int] = await self._read("accounting")
        return accounting

    async def shadow_report(self) -> Mapping[str, Any]:
        """Return core's shadow report on the workspace's last hour."""
        report: Mapping[str, Any] = await self._read("shadow")
        return report

    async def post(self, body: bytes, content_type: str, key: str | None = None) -> httpx.Response:
        """Send a body to the ingest door, with the publisher's key if no other is given."""
        return await self._http.post(
            f"{self.api_url}/v1/provider-ingest",
            content=body,
            headers={
                "content-type": content_type,
                "x-api-key": self.secrets.ingest_key if key is None else key,
            },
        )

    async def get(self, url: str) -> httpx.Response:
        """Read any URL."""
        return await self._http.get(url)

    async def start_simulator(self) -> None:
        """Start the provider; it lives as long as the plant."""
        design = self.design
        arguments = ["--replay", str(design.recording.path), "--speed", design.speed]
        arguments += ["--auth-delay", "0", "--api-key", self.secrets.provider_key]
        arguments += ["--seconds", f"{design.seconds:g}"] if design.seconds is not None else []
        for habit in design.habits:
            arguments += ["--habit", habit]
        self.running[SIMULATOR], address = await start_simulator(
            self._processes, SIMULATOR, arguments, seconds=_MEASURING_SECONDS
        )
        self._provider = urlsplit(address).netloc

    async def close(self) -> None:
        """Close what this holds itself."""
        await self._http.aclose()

    async def _read(self, what: str) -> Any:
        response = await self._http.get(
            f"{self.api_url}/v1/workspaces/{WORKSPACE}/{what}",
            headers={"x-api-key": self.secrets.read_key},
        )
        response.raise_for_status()
        return response.json()

    async def _start_api(self, life: str, extra: Mapping[str, str]) -> Process:
        variables = {
            "INGRESS_DATABASE_URL": self._database_url,
            "CORE_API_PORT": str(self._api_port),
            **self.design.api,
            **extra,
        }
        process, _ = await start_api(self._processes, life, self.directory, variables)
        return process

    async def _start_consumer(self, name: str, life: str, extra: Mapping[str, str]) -> Process:
        if self.queue is None:
            raise ValueError(f"there is no queue for {name} to read")
        variables = {
            "INGRESS_DATABASE_URL": self._database_url,
            "CORE_CONSUMER_GROUP": self.queue.topic,
            **_SOON_BACK,
            **self.queue.variables,
            **self.design.consumer,
            **extra,
        }
        process, self._metrics_urls[name] = await start_consumer(
            self._processes, life, variables, grace_seconds=_GRACE_SECONDS
        )
        return process

    async def _start_publisher(self, life: str, extra: Mapping[str, str]) -> Process:
        path = f"{RESEND_PATH}{'all' if self.design.resend else 0}"
        streams = self.directory / "streams.toml"
        text = streams_toml(PUBLISHER_ID, f"ws://{self._provider}{path}", self._found.labels)
        streams.write_text(text, encoding="utf-8")
        variables = {
            **way_to_core(self.api_url, self.queue),
            "PUBLISHER_CHECKPOINT_SECONDS": "1",
            "PUBLISHER_GRACE_SECONDS": str(_GRACE_SECONDS),
            "INGEST_KEY": self.secrets.ingest_key,
            "PROVIDER_KEY": self.secrets.provider_key,
            **self.design.publisher,
            **extra,
        }
        process, self._metrics_urls[PUBLISHER] = await start_publisher(
            self._processes, life, streams, variables, grace_seconds=_GRACE_SECONDS * 2
        )
        return process
