"""The services of docker-compose.yml as processes of this machine.

Each gets its own command, environment and health check from the file. What a container has for
itself is put in place of it: `service:port` becomes a free port of 127.0.0.1, the target of a
volume a directory, a mounted path of the repository a copy of it in which the same is replaced.
"""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ingress_testbed.demo.processes import Process, Processes, environment
from ingress_testbed.servers.ports import free_ports
from tests.integration.compose.composition import ROOT, Mount, Service, addresses

Replacement = Callable[["Stage"], Awaitable[None]]
_BIN = Path(sys.executable).parent
_ONE_SHOT_SECONDS = 120


class Stage:
    """Starts services in the order that their conditions allow, and nothing before it may."""

    def __init__(
        self,
        services: Mapping[str, Service],
        directory: Path,
        processes: Processes,
        *,
        addresses_of_others: Mapping[tuple[str, int], str],
        extra: Mapping[str, str],
    ) -> None:
        """`addresses_of_others` are `host:port` of what is not ours; `extra` are more variables."""
        self._services = services
        self._directory = directory
        self._processes = processes
        self._extra = extra
        self._met = {name: asyncio.Event() for name in services}
        self._binds: dict[tuple[str, str], Path] = {}
        self.running: dict[str, Process] = {}
        self._addresses = dict(addresses_of_others)
        ours = {name for name, one in services.items() if one.is_ours}
        listened = {
            (name, int(value))
            for name in ours
            for variable, value in services[name].environment.items()
            if variable.endswith("_PORT")
        }
        mentioned = sorted(addresses(self._texts(), ours) | listened)
        for address, port in zip(mentioned, free_ports(len(mentioned)), strict=True):
            self._addresses[address] = f"127.0.0.1:{port}"

    def _texts(self) -> Any:
        for one in self._services.values():
            yield yaml.safe_dump(dict(one.raw))
            yield from (
                path.read_text()
                for mount in one.mounts
                if mount.is_path
                for path in _files(ROOT / mount.source)
            )

    def address(self, name: str, port: int) -> str:
        """Return where a service's port is to be found, as `host:port`."""
        return self._addresses[name, port]

    def path(self, name: str, target: str) -> Path:
        """Return where a service has what is at `target` in its container."""
        return Path(self._local(self._services[name], target))

    async def up(self, replaced: Mapping[str, Replacement]) -> None:
        """Bring everything up: ours as processes, others by `replaced` or not at all.

        Raises ProcessEnded where one of ours fails, or is not healthy in the time of its check.
        """
        async with asyncio.TaskGroup() as tasks:
            for one in self._services.values():
                if one.is_ours or one.name in replaced:
                    tasks.create_task(self._bring_up(one, replaced.get(one.name)))

    async def _bring_up(self, service: Service, replacement: Replacement | None) -> None:
        for name in service.needs:
            await self._met[name].wait()
        if replacement is not None:
            await replacement(self)
        elif service.stays:
            process = await self._start(service)
            self.running[service.name] = process
            await self.healthy(service, process)
        else:
            await self.run_once(service.name)
        self._met[service.name].set()

    async def run_once(self, name: str) -> None:
        """Run a one-shot service to its end. Raises ProcessEnded, with what it said, if it fails."""
        service = self._services[name]
        variables = self._environment(service)
        async with asyncio.timeout(_ONE_SHOT_SECONDS):
            await self._processes.run(name, self._command(service), variables)

    async def healthy(self, service: Service, process: Process) -> None:
        """Ask the service's health check until it passes. Raises ProcessEnded where it does not."""
        check = service.health
        assert check is not None, f"{service.name} has no health check"
        command = [self._local(service, part) for part in check.command]

        async def probe() -> bool | None:
            asked = await asyncio.create_subprocess_exec(
                *command,
                env=self._environment(service),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            return await asked.wait() == 0 or None

        await self._processes.ready(
            process, probe, seconds=check.start_seconds, every=check.every_seconds
        )

    async def _start(self, service: Service) -> Process:
        command, variables = self._command(service), self._environment(service)
        return await self._processes.start(service.name, command, variables)

    def _command(self, service: Service) -> list[str]:
        return [self._local(service, part) for part in service.command]

    def _environment(self, service: Service) -> dict[str, str]:
        variables = {
            name: self._local(service, value) for name, value in service.environment.items()
        }
        path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
        return environment(**variables, **self._extra, PATH=path)

    def _local(self, service: Service, text: str) -> str:
        """Return `text` of a service with everything that is elsewhere on this machine replaced."""
        for (name, port), address in self._addresses.items():
            text = re.sub(rf"\b{name}:{port}\b", address, text)
            if name == service.name:
                text = re.sub(rf"\b{port}\b", address.partition(":")[2], text)
        text = text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 — what containers listen on
        for mount in service.mounts:
            text = re.sub(
                rf"{re.escape(mount.target)}(?=[/?&\s\"]|$)", self._place(mount, service), text
            )
        return text

    def _place(self, mount: Mount, service: Service) -> str:
        if not mount.is_path:
            volume = self._directory / "volumes" / mount.source
            volume.mkdir(parents=True, exist_ok=True)
            return str(volume)
        key = (service.name, mount.target)
        if key not in self._binds:
            source = ROOT / mount.source
            copy = self._directory / "binds" / service.name / source.name
            self._binds[key] = copy
            copy.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
            for file in _files(copy):
                file.write_text(self._local(service, file.read_text()))
        return str(self._binds[key])


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
