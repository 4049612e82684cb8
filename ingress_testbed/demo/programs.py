"""Our programs as children: how each is started, and how one knows that it is up.

All raise ProcessEnded where a program does not come up.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingress_testbed.demo.processes import Process, Processes, environment, ingress

_GRACE_SECONDS = 10.0


async def start_api(
    processes: Processes, name: str, directory: Path, variables: Mapping[str, str]
) -> tuple[Process, int]:
    """Start core's API, and return its port, which it writes to a file in `directory`."""
    port_file = directory / f"{name}.port"
    variables = {"CORE_API_PORT": "0", **variables}
    process = await _started(processes, name, ["api", "--port-file", str(port_file)], variables)

    async def port() -> int | None:
        return int(port_file.read_text()) if port_file.exists() else None

    return process, await processes.ready(process, port)


async def start_consumer(
    processes: Processes,
    name: str,
    variables: Mapping[str, str],
    *,
    grace_seconds: float = _GRACE_SECONDS,
) -> tuple[Process, str]:
    """Start a consumer; return the URL of its metrics once it is a member of its group."""
    variables = {"CORE_CONSUMER_METRICS_PORT": "0", **variables}
    process = await _started(processes, name, ["consumer"], variables, grace_seconds)
    await processes.ready(process, lambda: _said(process, '{"', '"consumer_started"'))
    return process, await _metrics_url(processes, process)


async def start_publisher(
    processes: Processes,
    name: str,
    streams: Path,
    variables: Mapping[str, str],
    *,
    grace_seconds: float = _GRACE_SECONDS,
) -> tuple[Process, str]:
    """Start a publisher with its journals beside `streams`; return the URL of its metrics."""
    variables = {
        "PUBLISHER_JOURNAL_DIR": str(streams.parent),
        "PUBLISHER_METRICS_PORT": "0",
        **variables,
    }
    arguments = ["publisher", "run", "--streams", str(streams)]
    process = await _started(processes, name, arguments, variables, grace_seconds)
    return process, await _metrics_url(processes, process)


async def start_simulator(
    processes: Processes, name: str, arguments: Sequence[str], *, seconds: float
) -> tuple[Process, str]:
    """Start the simulated provider, and return the URL of its socket.

    It first reads its recording to the end: `seconds` are what that may take.
    """
    process = await _started(processes, name, ["simulator", *arguments], {})
    said = await processes.ready(process, lambda: _said(process, "ws://"), seconds=seconds)
    return process, said


async def _started(
    processes: Processes,
    name: str,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    grace_seconds: float = _GRACE_SECONDS,
) -> Process:
    variables = {"INGRESS_LOG_FORMAT": "json", **variables}
    return await processes.start(
        name, ingress(*arguments), environment(**variables), grace_seconds=grace_seconds
    )


async def _metrics_url(processes: Processes, process: Process) -> str:
    event = await processes.ready(process, lambda: _said(process, '{"', '"metrics_served"'))
    return f"http://127.0.0.1:{json.loads(event)['port']}/metrics"


async def _said(process: Process, *words: str) -> str | None:
    """Return the first line of the log that holds all `words`; the first one begins it."""
    for line in process.lines():
        if line.startswith(words[0]) and all(word in line for word in words):
            return line
    return None
