"""`ingress publisher check`, and what the edge contributes to `ingress doctor`."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from ingress_runtime.doctor import Examination
from ingress_runtime.findings import Finding, Level, fail, of_line, ok, warn
from ingress_runtime.settings import load
from telematics_publisher import provider, streams
from telematics_publisher.checks import core, journals
from telematics_publisher.checks import streams as sockets
from telematics_publisher.errors import StreamsError
from telematics_publisher.settings import PublisherSettings, TransportSettings
from telematics_publisher.streams import Workspace
from telematics_publisher.transports.http import HttpTransport

_ANSWER_SECONDS = 10.0
_SUBJECT = "streams"


async def check(
    path: Path,
    settings: PublisherSettings,
    transport: TransportSettings,
    *,
    only: str | None = None,
    seconds: float = 30.0,
) -> AsyncIterator[Finding]:
    """Try what `publisher run` will do, store nothing, and yield what was found.

    `only` names the streams to try. All are tried at once and listened to for `seconds` at most.
    """
    workspaces, said = _read(path, os.environ)
    chosen = _only(workspaces, only)
    if only is not None and workspaces and not any(one.streams for one in chosen):
        said = [*said, _no_such_stream(workspaces, only)]
    for finding in said:
        yield finding
    async for finding in _core(chosen, transport):
        yield finding
    for finding in journals.journals(settings.journal_dir, chosen, Level.WARN):
        yield finding
    samples = [
        sockets.sample(entry, stream, seconds) for one in chosen for entry, stream in one.streams
    ]
    for sample in asyncio.as_completed(samples):
        yield await sample


async def examine(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Look at an edge, for `ingress doctor`: as `check` does, but providers are not asked for data."""
    settings, transport = load(PublisherSettings, TransportSettings, environ=environ)
    workspaces, said = _read(settings.streams, environ)
    for finding in said:
        yield finding
    async for finding in _core(workspaces, transport):
        yield finding
    for finding in journals.journals(settings.journal_dir, workspaces, Level.OK):
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
    settings=(PublisherSettings, TransportSettings),
    concerned=_is_edge,
    concerned_if="INGRESS_API_URL or a PUBLISHER_ variable is set, or a streams.toml is here",
    examine=examine,
)


def _read(path: Path, environ: Mapping[str, str]) -> tuple[Sequence[Workspace], Sequence[Finding]]:
    """Return the workspaces of a file, none where it is wrong, and what there is to say of it."""
    try:
        workspaces = streams.load(path, environ, provider.installed())
    except StreamsError as error:
        return (), [of_line(_SUBJECT, line) for line in str(error).splitlines()]
    count = sum(len(one.streams) for one in workspaces)
    found = f"{path}: {_number(len(workspaces), 'workspace')}, {_number(count, 'stream')}"
    if count == 0:
        return workspaces, [
            warn(_SUBJECT, found, "Add a [[streams]] table: docs/streams.md describes it.")
        ]
    return workspaces, [ok(_SUBJECT, found)]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


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


async def _core(
    workspaces: Sequence[Workspace], transport: TransportSettings
) -> AsyncIterator[Finding]:
    """Ask for core, and if it is there, for each workspace's key."""
    reached = True
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
        async for finding in core.reach(client, transport.api_url, core.wall_clock):
            reached = reached and (finding.subject, finding.level) != (core.SUBJECT, Level.FAIL)
            yield finding
    for workspace in workspaces if reached else ():
        way = HttpTransport(transport.api_url, workspace.api_key, deadline=_ANSWER_SECONDS)
        try:
            yield await core.key(way, workspace)
        finally:
            await way.aclose()
