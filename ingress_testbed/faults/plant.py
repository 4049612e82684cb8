"""The whole system on this machine, made to be broken: each process can be killed and begun anew."""

import asyncio
import json
import secrets
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

import asyncpg
import httpx
import psutil

from core_api.key_store import KeyStore
from core_api.keys import Role
from ingress_testbed.demo.database import migrated_pool, own_database
from ingress_testbed.demo.installation import (
    WORKSPACE,
    streams_toml,
    way_to_core,
)
from ingress_testbed.demo.observer import sums
from ingress_testbed.demo.processes import Process, Processes, environment, ingress
from ingress_testbed.demo.queue import Queue, queued
from ingress_testbed.demo.survey import Survey, survey
from ingress_testbed.faults.design import (
    API,
    PROBE,
    PUBLISHER,
    PUBLISHER_ID,
    SIMULATOR,
    Design,
    Secrets,
)
from ingress_testbed.faults.proxy import Proxy
from ingress_testbed.servers.kafka import KafkaCluster
from ingress_testbed.simulator.protocol import RESEND_PATH, STATUS_PATH

_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.05
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

    def __init__(  # noqa: PLR0913 — what it is made of
        self,
        *,
        design: Design,
        directory: Path,
        processes: Processes,
        found: Survey,
        pool: asyncpg.Pool,
        secrets: Secrets,
        database_url: str,
        queue: Queue | None = None,
    ) -> None:
        self.queue = queue
        self.design = design
        self.directory = directory
        self.frames = found.frames
        self.pool = pool
        self.secrets = secrets
        self.running: dict[str, Process] = {}
        self._found = found
        self._processes = processes
        self._database_url = database_url
        self._lives: Counter[str] = Counter()
        self._api_port = _free_port()
        self._metrics_ports: dict[str, int] = {}
        self._provider = ""
        self._http = httpx.AsyncClient(timeout=_SECONDS)

    @property
    def api_url(self) -> str:
        """Where core's API is, in every life of it, as behind a load balancer."""
        return f"http://127.0.0.1:{self._api_port}"

    @property
    def metrics_url(self) -> str:
        """Where the publisher's present life serves its metrics."""
        return self._metrics_url(PUBLISHER)

    @property
    def journal(self) -> Path:
        """The publisher's journal."""
        return self.directory / f"{WORKSPACE}.journal"

    async def start(self, name: str, extra: Mapping[str, str] = _NOTHING) -> Process:
        """Begin a life of a process, with `extra` settings, and wait until it is up.

        Raises ProcessEnded where it does not come up.
        """
        self._lives[name] += 1
        starts = {API: self._start_api, PUBLISHER: self._start_publisher}
        start = starts.get(name, self._start_consumer)
        self.running[name] = await start(name, f"{name}-{self._lives[name]}", extra)
        return self.running[name]

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
        while not (provider := await self.provider())["finished"]:  # noqa: ASYNC110 — another process sets no Event
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        self.frames = provider["sent"]

    async def metrics(self, name: str = PUBLISHER) -> Mapping[str, float]:
        """Return the metrics of the publisher, or a consumer, each summed over its labels."""
        response = await self._http.get(self._metrics_url(name))
        return sums(response.text)

    async def provider(self) -> Mapping[str, int]:
        """Return what the simulator says of the publisher's key."""
        response = await self._http.get(f"http://{self._provider}{STATUS_PATH}")
        status: Mapping[str, int] = response.json()["keys"]["key-1"]
        return status

    async def accounting(self) -> Mapping[str, int]:
        """Return core's accounting of the workspace."""
        response = await self._http.get(
            f"{self.api_url}/v1/workspaces/{WORKSPACE}/accounting",
            headers={"x-api-key": self.secrets.read_key},
        )
        response.raise_for_status()
        accounting: Mapping[str, int] = response.json()
        return accounting

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
        process = await self._processes.start(
            SIMULATOR, ingress("simulator", *arguments), environment(INGRESS_LOG_FORMAT="json")
        )
        address = await self._processes.ready(
            process, lambda: _line(process, "ws://"), seconds=_MEASURING_SECONDS
        )
        self.running[SIMULATOR] = process
        self._provider = urlsplit(address).netloc

    async def close(self) -> None:
        """Close what this holds itself."""
        await self._http.aclose()

    def _metrics_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._metrics_ports[name]}/metrics"

    async def _metrics_served(self, name: str, process: Process) -> None:
        said = await self._processes.ready(
            process, lambda: _line(process, '{"', '"metrics_served"'), seconds=_SECONDS
        )
        self._metrics_ports[name] = json.loads(said)["port"]

    async def _start_api(self, _name: str, life: str, extra: Mapping[str, str]) -> Process:
        port_file = self.directory / f"{life}.port"
        variables = {
            "INGRESS_DATABASE_URL": self._database_url,
            "INGRESS_LOG_FORMAT": "json",
            "CORE_API_PORT": str(self._api_port),
            **self.design.api,
            **extra,
        }
        process = await self._processes.start(
            life, ingress("api", "--port-file", str(port_file)), environment(**variables)
        )

        async def port() -> int | None:
            return int(port_file.read_text()) if port_file.exists() else None

        await self._processes.ready(process, port, seconds=_SECONDS)
        return process

    async def _start_consumer(self, name: str, life: str, extra: Mapping[str, str]) -> Process:
        if self.queue is None:
            raise ValueError(f"there is no queue for {name} to read")
        variables = {
            "INGRESS_DATABASE_URL": self._database_url,
            "INGRESS_LOG_FORMAT": "json",
            "CORE_CONSUMER_GROUP": self.queue.topic,
            "CORE_CONSUMER_METRICS_PORT": "0",
            **_SOON_BACK,
            **self.queue.variables,
            **self.design.consumer,
            **extra,
        }
        process = await self._processes.start(
            life, ingress("consumer"), environment(**variables), grace_seconds=_GRACE_SECONDS
        )
        await self._metrics_served(name, process)
        await self._processes.ready(
            process, lambda: _line(process, '{"', '"consumer_started"'), seconds=_SECONDS
        )
        return process

    async def _start_publisher(self, name: str, life: str, extra: Mapping[str, str]) -> Process:
        streams = self.directory / "streams.toml"
        path = f"{RESEND_PATH}{'all' if self.design.resend else 0}"
        text = streams_toml(PUBLISHER_ID, f"ws://{self._provider}{path}", self._found.labels)
        streams.write_text(text, encoding="utf-8")
        variables = {
            **way_to_core(self.api_url, self.queue),
            "INGRESS_LOG_FORMAT": "json",
            "PUBLISHER_CHECKPOINT_SECONDS": "1",
            "PUBLISHER_GRACE_SECONDS": str(_GRACE_SECONDS),
            "PUBLISHER_JOURNAL_DIR": str(self.directory),
            "PUBLISHER_METRICS_PORT": "0",
            "INGEST_KEY": self.secrets.ingest_key,
            "PROVIDER_KEY": self.secrets.provider_key,
            **self.design.publisher,
            **extra,
        }
        process = await self._processes.start(
            life,
            ingress("publisher", "run", "--streams", str(streams)),
            environment(**variables),
            grace_seconds=_GRACE_SECONDS * 2,
        )
        await self._metrics_served(name, process)
        return process


@asynccontextmanager
async def planted(
    design: Design,
    directory: Path,
    postgres_url: str,
    route: Proxy | None = None,
    cluster: KafkaCluster | None = None,
) -> AsyncIterator[Plant]:
    """Give a plant on a fresh database of the server, whose simulator runs; stop it all at the end.

    Core reaches its database over `route`, if there is one, and the publisher core by a fresh topic
    of `cluster`.
    """
    found = await asyncio.to_thread(survey, design.recording)
    async with (
        own_database(postgres_url) as url,
        migrated_pool(url) as pool,
        AsyncExitStack() as topic,
        Processes(directory) as processes,
    ):
        queue = (
            None if cluster is None else await topic.enter_async_context(queued(processes, cluster))
        )
        parts = urlsplit(url)
        keys = KeyStore(pool)
        known = Secrets(
            ingest_key=(await keys.create(Role.INGEST, WORKSPACE, PUBLISHER_ID)).text,
            probe_key=(await keys.create(Role.INGEST, PROBE, PUBLISHER_ID)).text,
            admin_key=(await keys.create(Role.ADMIN, None, None)).text,
            read_key=(await keys.create(Role.READ, WORKSPACE, None)).text,
            provider_key=secrets.token_urlsafe(12),
            database_password=parts.password or secrets.token_urlsafe(12),
        )
        plant = Plant(
            design=design,
            directory=directory,
            processes=processes,
            found=found,
            pool=pool,
            secrets=known,
            database_url=_routed(parts, known.database_password, route),
            queue=queue,
        )
        try:
            await plant.start_simulator()
            yield plant
        finally:
            await plant.close()


def _routed(parts: SplitResult, password: str, route: Proxy | None) -> str:
    """Return the database's URL with a password (a server that trusts does not ask) and a route."""
    host, port = (
        (parts.hostname, parts.port or 5432) if route is None else ("127.0.0.1", route.port)
    )
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{password}@{host}:{port}"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def _line(process: Process, *words: str) -> str | None:
    """Return the first line of the log that begins with the first word and holds the others."""
    for line in process.lines():
        if line.startswith(words[0]) and all(word in line for word in words):
            return line
    return None
