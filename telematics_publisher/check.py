"""`ingress publisher check`, and what the edge contributes to `ingress doctor`."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from ingress_runtime.doctor import Examination
from ingress_runtime.findings import Finding, Level, fail, of_line, ok, warn
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.settings import load
from telematics_publisher import provider, streams
from telematics_publisher.checks import core, journals
from telematics_publisher.checks import streams as sockets
from telematics_publisher.errors import StreamsError, WayClosed
from telematics_publisher.settings import PublisherSettings, TransportSettings
from telematics_publisher.streams import Workspace
from telematics_publisher.transports.http import HttpTransport
from telematics_publisher.ways import Way, need_kafka
from telematics_publisher.words import counted

_ANSWER_SECONDS = 10.0
_SUBJECT = "streams"


async def check(
    path: Path,
    settings: PublisherSettings,
    way: Way,
    *,
    only: str | None = None,
    seconds: float = 30.0,
) -> AsyncIterator[Finding]:
    """Try what `publisher run` will do, store nothing, and yield what was found.

    `only` names the streams to try. All are tried at once and listened to for `seconds` at most.
    """
    workspaces, said = _read(path, os.environ, way)
    chosen = _only(workspaces, only)
    if only is not None and workspaces and not any(one.streams for one in chosen):
        said = [*said, _no_such_stream(workspaces, only)]
    async for finding in _all_but_streams(chosen, said, settings, way, before_start=True):
        yield finding
    chosen_streams = [pair for one in chosen for pair in one.streams]
    for entry, stream in chosen_streams:
        if (doubtful := sockets.labels(entry, stream)) is not None:
            yield doubtful
    samples = [
        asyncio.ensure_future(sockets.sample(entry, stream, seconds))
        for entry, stream in chosen_streams
    ]
    try:
        for sample in samples:  # all at once, told in the file's order
            yield await sample
    finally:
        for sample in samples:
            sample.cancel()


async def examine(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Look at an edge, for `ingress doctor`: as `check` does, but providers are not asked for data."""
    settings, transport, cluster = load(
        PublisherSettings, TransportSettings, KafkaSettings, environ=environ
    )
    way = Way(transport, cluster)
    workspaces, said = _read(settings.streams, environ, way)
    async for finding in _all_but_streams(workspaces, said, settings, way, before_start=False):
        yield finding
    hosts = {
        (entry.provider, entry.url): (entry, stream)
        for one in workspaces
        for entry, stream in one.streams
    }
    for entry, stream in hosts.values():
        yield await sockets.reach(entry, stream)


def _is_edge(environ: Mapping[str, str]) -> bool:
    return (
        any(name.startswith("PUBLISHER_") for name in environ)
        or bool(environ.get("INGRESS_API_URL"))
        or Path("streams.toml").exists()
    )


EXAMINATION = Examination(
    name="edge",
    settings=(PublisherSettings, TransportSettings, KafkaSettings),
    concerned=_is_edge,
    concerned_if="INGRESS_API_URL or a PUBLISHER_ variable is set, or a streams.toml is here",
    examine=examine,
)


def _read(
    path: Path, environ: Mapping[str, str], way: Way
) -> tuple[Sequence[Workspace], Sequence[Finding]]:
    """Return the workspaces of a file, none where it is wrong, and what there is to say of it."""
    try:
        workspaces = streams.load(path, environ, provider.installed(), api_keys=way.needs_api_keys)
    except StreamsError as error:
        return (), [of_line(_SUBJECT, line) for line in str(error).splitlines()]
    count = sum(len(one.streams) for one in workspaces)
    found = f"{path}: {counted(len(workspaces), 'workspace')}, {counted(count, 'stream')}"
    if count == 0:
        return workspaces, [
            warn(_SUBJECT, found, "Add a [[streams]] table: docs/streams.md describes it.")
        ]
    return workspaces, [ok(_SUBJECT, found)]


def _only(workspaces: Sequence[Workspace], name: str | None) -> list[Workspace]:
    """Return the workspaces with the streams of this name, or with all; others without streams."""
    if name is None:
        return list(workspaces)
    return [
        replace(one, streams=chosen)
        for one in workspaces
        if (chosen := tuple(pair for pair in one.streams if pair[0].name == name))
    ]


def _no_such_stream(workspaces: Sequence[Workspace], name: str) -> Finding:
    names = sorted({entry.name for one in workspaces for entry, _ in one.streams})
    return fail("--stream", f"there is no stream {name!r}", f"Choose one of: {', '.join(names)}.")


async def _all_but_streams(
    workspaces: Sequence[Workspace],
    said: Sequence[Finding],
    settings: PublisherSettings,
    way: Way,
    *,
    before_start: bool,
) -> AsyncIterator[Finding]:
    """Yield what was `said` of the file, then what is found of core and of the journals."""
    for finding in said:
        yield finding
    async for finding in _core(workspaces, way):
        yield finding
    for finding in journals.journals(settings.journal_dir, workspaces, before_start=before_start):
        yield finding


async def _core(workspaces: Sequence[Workspace], way: Way) -> AsyncIterator[Finding]:
    """Look at the way to core."""
    if way.transport.uses_kafka:
        for finding in await _kafka(way):
            yield finding
    if way.transport.uses_http:
        async for finding in _api(workspaces, way.transport.base_url):
            yield finding


async def _kafka(way: Way) -> Sequence[Finding]:
    """Ask for the brokers and the topic."""
    try:
        need_kafka(way.transport.transport)
    except WayClosed as error:
        return [of_line("kafka", str(error))]
    from ingress_runtime.kafka.examination import examine  # noqa: PLC0415 — needs an extra of its own

    return await examine(way.kafka, _ANSWER_SECONDS)


async def _api(workspaces: Sequence[Workspace], api_url: str) -> AsyncIterator[Finding]:
    """Ask for core, and if it is there, for each workspace's key."""
    reached = True
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
        async for finding in core.reach(client, api_url, core.wall_clock):
            reached = reached and (finding.subject, finding.level) != (core.SUBJECT, Level.FAIL)
            yield finding
    for workspace in workspaces if reached else ():
        transport = HttpTransport(api_url, workspace.key, deadline=_ANSWER_SECONDS)
        try:
            yield await core.key(transport, workspace)
        finally:
            await transport.aclose()
