"""A real Prometheus on 127.0.0.1 that scrapes what a demo tells of, and a client for its answers."""

import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import click
import httpx
import yaml

from ingress_testbed.demo.processes import Processes, environment
from ingress_testbed.servers.ports import free_port

PROGRAM = "prometheus"
SCRAPE_SECONDS = 1
VARIABLES: Mapping[str, str] = {"__rate_interval": "5s", "__interval": "1s", "__range": "60s"}
"""Grafana's, as it would have them at this interval of scraping."""

_ANSWER_SECONDS = 30.0
_READY_SECONDS = 30.0


def find_prometheus() -> Path:
    """Return the program on PATH. Raises ClickException that says how to have it."""
    if (found := shutil.which(PROGRAM)) is None:
        raise click.ClickException(
            "there is no prometheus on PATH. Debian, Ubuntu: apt-get install prometheus"
        )
    return Path(found)


def configuration(targets: Path, rules: Path, directory: Path) -> Path:
    """Write a configuration into `directory` that follows `targets` with all `rules`; return it.

    Every group of rules is evaluated as often as is scraped: a demo is too short for its own pace.
    """
    evaluated = directory / "rules"
    evaluated.mkdir()
    for path in sorted(rules.glob("*.yml")):
        found = yaml.safe_load(path.read_text("utf-8"))
        for group in found["groups"]:
            group.pop("interval", None)
        (evaluated / path.name).write_text(yaml.safe_dump(found), encoding="utf-8")
    pace = f"{SCRAPE_SECONDS}s"
    made = {
        "global": {"scrape_interval": pace, "scrape_timeout": pace, "evaluation_interval": pace},
        "rule_files": [str(evaluated / "*.yml")],
        "scrape_configs": [
            {"job_name": "demo", "file_sd_configs": [{"files": [str(targets.absolute())]}]}
        ],
    }
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(made), encoding="utf-8")
    return file


@asynccontextmanager
async def running_prometheus(
    directory: Path, targets: Path, rules: Path, *, port: int | None = None
) -> AsyncIterator[str]:
    """Run a Prometheus that follows `targets`, with its data in `directory`; give its URL.

    Raises ClickException where there is none, ProcessEnded where it does not come up.
    """
    program = find_prometheus()
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(program),
        f"--config.file={configuration(targets, rules, directory)}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    async with Processes(directory) as processes, httpx.AsyncClient(base_url=url) as client:
        process = await processes.start(PROGRAM, command, environment())

        async def up() -> bool | None:
            try:
                answer = await client.get("/-/ready")
            except httpx.TransportError:
                return None
            return True if answer.is_success else None

        await processes.ready(process, up, seconds=_READY_SECONDS)
        yield url


@dataclass(frozen=True, slots=True)
class Line:
    """A series of an answer: its labels, and (seconds since 1970, value)."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, in seconds since 1970, looked at every `step` seconds."""

    start: float
    end: float
    step: float = 1.0


class Answers:
    """Asks a Prometheus. Raises HTTPError where it does not answer, or refuses an expression."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_ANSWER_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def over(self, expr: str, window: Window) -> list[Line]:
        """Return what `expr` is over the window."""
        asked = {
            "query": expr,
            "start": f"{window.start:.3f}",
            "end": f"{window.end:.3f}",
            "step": f"{window.step:g}",
        }
        return [
            Line(one["metric"], tuple((at, float(value)) for at, value in one["values"]))
            for one in self._ask("/api/v1/query_range", asked)["result"]
        ]

    def span(self, expr: str, seconds: float) -> Window | None:
        """Return when `expr` was there first and last in the last so many seconds."""
        now = float(self._ask("/api/v1/query", {"query": "time()"})["result"][1])
        found = self.over(expr, Window(now - seconds, now))
        at = [when for line in found for when, _ in line.points]
        return Window(min(at), max(at)) if at else None

    def families(self) -> set[str]:
        """Return the names of all metrics that targets have told of, those without series too."""
        found: Iterable[Mapping[str, str]] = self._ask("/api/v1/targets/metadata", {})
        return {one["metric"] for one in found}

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Any:
        answer = self._client.get(path, params=dict(parameters))
        answer.raise_for_status()
        return answer.json()["data"]
