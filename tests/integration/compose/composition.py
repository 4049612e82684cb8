"""docker-compose.yml as Compose reads it: merged, interpolated, one object a service."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Z][A-Z0-9_]*):-(?P<default>[^{}]*)\})")
_UNITS = {"s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Mount:
    """A volume, or a path of this repository, and where a container has it."""

    source: str
    target: str
    read_only: bool

    @property
    def is_path(self) -> bool:
        return self.source.startswith((".", "/"))


@dataclass(frozen=True)
class Health:
    """A health check: its command line, and how long it may fail at the start, in seconds."""

    command: tuple[str, ...]
    start_seconds: float
    every_seconds: float


@dataclass(frozen=True)
class Service:
    """A service of the file; `needs` are the conditions by the service that must meet them."""

    name: str
    raw: Mapping[str, Any]

    @property
    def is_ours(self) -> bool:
        return "build" in self.raw

    @property
    def stays(self) -> bool:
        return bool(self.raw.get("restart") == "unless-stopped")

    @property
    def command(self) -> list[str]:
        return list(self.raw["command"])

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.raw.get("environment", {}))

    @property
    def needs(self) -> dict[str, str]:
        return {name: one["condition"] for name, one in self.raw.get("depends_on", {}).items()}

    @property
    def mounts(self) -> list[Mount]:
        found = []
        for text in self.raw.get("volumes", []):
            source, target, *mode = text.split(":")
            found.append(Mount(source, target, mode == ["ro"]))
        return found

    @property
    def writable(self) -> list[str]:
        """The paths that a container may write to: the rest of its file system is read-only."""
        volumes = [mount.target for mount in self.mounts if not mount.read_only]
        return volumes + [text.split(":")[0] for text in self.raw.get("tmpfs", [])]

    @property
    def health(self) -> Health | None:
        check = self.raw.get("healthcheck")
        if check is None:
            return None
        kind, *command = check["test"]
        if kind == "CMD-SHELL":
            command = ["sh", "-c", *command]
        retried = seconds(check["interval"]) * check["retries"]
        return Health(
            tuple(command),
            seconds(check["start_period"]) + retried,
            seconds(check["start_interval"]),
        )


def seconds(text: str) -> float:
    """Read a duration such as 90s."""
    return float(text[:-1]) * _UNITS[text[-1]]


def interpolated(value: Any, environ: Mapping[str, str]) -> Any:
    """Replace `${NAME:-default}` as Compose does; an empty variable counts as unset."""
    if isinstance(value, str):
        return _VARIABLE.sub(
            lambda found: (
                (environ.get(found["name"]) or found["default"]) if found["name"] else "$"
            ),
            value,
        )
    if isinstance(value, dict):
        return {name: interpolated(one, environ) for name, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, environ) for one in value]
    return value


def document(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the whole file, with the variables of `environ`, where there are none its defaults."""
    read: dict[str, Any] = interpolated(yaml.safe_load(FILE.read_text()), environ or {})
    return read


def services(environ: Mapping[str, str] | None = None) -> dict[str, Service]:
    """Return the services by name."""
    return {name: Service(name, raw) for name, raw in document(environ)["services"].items()}


def taken_from_outside() -> dict[str, set[str]]:
    """Return the variables that the file takes from outside, each with its defaults."""
    found: dict[str, set[str]] = {}
    for match in _VARIABLE.finditer(FILE.read_text()):
        if match["name"]:
            found.setdefault(match["name"], set()).add(match["default"])
    return found


def scraped() -> dict[str, str]:
    """Return what Prometheus scrapes, as `service:port` by job; it has one target each."""
    read = yaml.safe_load((ROOT / "ops" / "prometheus" / "prometheus.yml").read_text())
    found = {}
    for job in read["scrape_configs"]:
        fixed = [one for given in job.get("static_configs", []) for one in given["targets"]]
        named = [
            f"{name}:{given['port']}"
            for given in job.get("dns_sd_configs", [])
            for name in given["names"]
        ]
        (found[job["job_name"]],) = fixed + named
    return found


def addresses(texts: Iterator[str], names: set[str]) -> set[tuple[str, int]]:
    """Return each `service:port` that is mentioned in `texts`."""
    pattern = re.compile(rf"\b({'|'.join(sorted(names))}):(\d{{4,5}})\b")
    return {(name, int(port)) for text in texts for name, port in pattern.findall(text)}
