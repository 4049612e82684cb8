"""The whole system on this machine: which processes there are, how they are told of each other."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from core_api.key_store import KeyStore
from core_api.keys import Role
from ingress_testbed.demo.ground import Ground, ground
from ingress_testbed.demo.processes import Process, Processes
from ingress_testbed.demo.programs import (
    start_api,
    start_consumer,
    start_publisher,
    start_simulator,
)
from ingress_testbed.demo.queue import Queue
from ingress_testbed.servers.kafka import KafkaCluster
from ingress_testbed.simulator.protocol import LIVE_PATH

WORKSPACE = "demo"
_CHECKPOINT_SECONDS = 1
_GRACE_SECONDS = 5
_SESSION_SECONDS = 4  # the embedded broker lets a group begin after half of it
_MEASURING_SECONDS = 120  # the simulator first reads its recording to the end


@dataclass(frozen=True, slots=True)
class Feed:
    """What the simulator replays, for how many seconds, and what its subscribers ask for."""

    recording: Path
    speed: float
    rebase: bool
    seconds: float | None
    labels: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs, and where it can be reached. `metrics` are URLs by publisher id.

    `queue` is the topic between publishers and core, and `consumer_metrics` the URL of who reads
    it; there are none over HTTP.

    `running` are the processes by name; a publisher's name is its id. `provider_keys` are the names
    under which the simulator knows the publishers, by publisher id.
    """

    processes: Processes
    running: Mapping[str, Process]
    pool: asyncpg.Pool
    api_url: str
    provider_url: str
    provider_keys: Mapping[str, str]
    read_key: str
    metrics: Mapping[str, str]
    queue: Queue | None = None
    consumer_metrics: str | None = None


@dataclass(frozen=True, slots=True)
class Publishers:
    """The publisher ids, and by which transport they send."""

    names: Sequence[str]
    transport: str = "http"


_QUICK = {
    "INGRESS_QUEUE_DEADLINE_SECONDS": "2",
    "INGRESS_QUEUE_PAUSE_SECONDS": "1",
    "INGRESS_QUEUE_PROBES": "2",
}
"""A demo is short: it falls over, and returns, sooner than usual."""


@asynccontextmanager
async def installed(
    directory: Path,
    postgres_url: str,
    feed: Feed,
    publishers: Publishers,
    cluster: KafkaCluster | None = None,
) -> AsyncIterator[Installation]:
    """Start simulator, core and `publishers` on a fresh database; stop them, the last one first.

    The topic that a transport needs is a fresh one of `cluster`. Raises ProcessEnded where a
    process does not come up.
    """
    async with ground(directory, postgres_url, cluster) as base:
        processes, queue = base.processes, base.queue
        keys = KeyStore(base.pool)
        read_key = (await keys.create(Role.READ, WORKSPACE, None)).text
        edges = [
            Edge(
                name=name,
                directory=directory / name,
                ingest_key=(await keys.create(Role.INGEST, WORKSPACE, name)).text,
                provider_key=secrets.token_urlsafe(12),
            )
            for name in publishers.names
        ]
        provider_keys = [edge.provider_key for edge in edges]
        (core, port), (provider, provider_url), consumers = await asyncio.gather(
            start_api(processes, "api", directory, {"INGRESS_DATABASE_URL": base.database_url}),
            _provider(processes, feed, provider_keys),
            _consumers(base),
        )
        api_url = f"http://127.0.0.1:{port}"
        way = {**way_to_core(api_url, queue), **_QUICK, "INGRESS_TRANSPORT": publishers.transport}
        started = await asyncio.gather(
            *(_publisher(processes, edge, feed, way, provider_url) for edge in edges)
        )
        running = (core, *(one for one, _ in consumers), provider, *(one for one, _ in started))
        yield Installation(
            processes=processes,
            running={process.name: process for process in running},
            pool=base.pool,
            api_url=api_url,
            provider_url=provider_url,
            provider_keys={
                name: f"key-{number}" for number, name in enumerate(publishers.names, 1)
            },
            read_key=read_key,
            metrics={process.name: url for process, url in started},
            queue=queue,
            consumer_metrics=next((url for _, url in consumers), None),
        )


@dataclass(frozen=True, slots=True)
class Edge:
    """One publisher: its id, its directory, and what it may."""

    name: str
    directory: Path
    ingest_key: str
    provider_key: str


async def _consumers(base: Ground) -> list[tuple[Process, str]]:
    """Start who reads the queue, if there is one, and return where its metrics are."""
    if base.queue is None:
        return []
    settings = {
        **base.queue.variables,
        "INGRESS_DATABASE_URL": base.database_url,
        "CORE_CONSUMER_GRACE_SECONDS": str(_GRACE_SECONDS),
        "CORE_CONSUMER_GROUP": base.queue.topic,
        "CORE_CONSUMER_SESSION_SECONDS": str(_SESSION_SECONDS),
        "CORE_CONSUMER_WATCH_SECONDS": "1",
    }
    return [await start_consumer(base.processes, "consumer", settings)]


def way_to_core(api_url: str, queue: Queue | None) -> dict[str, str]:
    """Return the settings that say how a publisher reaches core."""
    over_http = {"INGRESS_TRANSPORT": "http", "INGRESS_API_URL": api_url}
    return (
        over_http
        if queue is None
        else {**over_http, **queue.variables, "INGRESS_TRANSPORT": "kafka"}
    )


async def _provider(processes: Processes, feed: Feed, keys: Sequence[str]) -> tuple[Process, str]:
    speed = "max" if feed.speed == inf else f"{feed.speed:g}"
    arguments = ["--replay", str(feed.recording), "--speed", speed]
    arguments += ["--rebase", "now"] if feed.rebase else []
    arguments += ["--seconds", f"{feed.seconds:g}"] if feed.seconds is not None else []
    for key in keys:
        arguments += ["--api-key", key]
    process, address = await start_simulator(
        processes, "simulator", arguments, seconds=_MEASURING_SECONDS
    )
    return process, f"http://{urlsplit(address).netloc}"


async def _publisher(
    processes: Processes, edge: Edge, feed: Feed, way: Mapping[str, str], provider_url: str
) -> tuple[Process, str]:
    """Start a publisher, and return where its metrics are."""
    edge.directory.mkdir()
    streams = edge.directory / "streams.toml"
    socket = f"ws{provider_url.removeprefix('http')}{LIVE_PATH}"
    streams.write_text(streams_toml(edge.name, socket, feed.labels), encoding="utf-8")
    settings = {
        **way,
        "PUBLISHER_CHECKPOINT_SECONDS": str(_CHECKPOINT_SECONDS),
        "PUBLISHER_GRACE_SECONDS": str(_GRACE_SECONDS),
        "INGEST_KEY": edge.ingest_key,
        "PROVIDER_KEY": edge.provider_key,
    }
    return await start_publisher(
        processes, edge.name, streams, settings, grace_seconds=_GRACE_SECONDS * 2
    )


def streams_toml(
    publisher: str, url: str, labels: Mapping[str, Sequence[str]], workspace: str = WORKSPACE
) -> str:
    """Return a `streams.toml` of one stream, whose keys are in INGEST_KEY and PROVIDER_KEY."""
    vehicles = "\n".join(f"{_quoted(vid)} = {_quoted(found)}" for vid, found in labels.items())
    return f"""\
[workspaces.{workspace}]
publisher = {_quoted(publisher)}
api_key = {{ env = "INGEST_KEY" }}

[[streams]]
name = "fleet"
workspace = "{workspace}"
provider = "viriciti"
url = {_quoted(url)}
credential = {{ env = "PROVIDER_KEY" }}

[streams.vehicles]
{vehicles}
"""


def _quoted(text: object) -> str:
    """Return a string, or a list of them, as TOML: JSON's are (toml.io/en/v1.0.0#string)."""
    return json.dumps(text, ensure_ascii=False)
