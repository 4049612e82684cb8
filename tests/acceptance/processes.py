"""Processes of ours as tests meet them: their logs, their exit codes, and core's API with its database."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
import httpx

from core_api.key_store import KeyStore
from core_api.keys import Role

PATIENCE = 120
_INGRESS = "from ingress_runtime.cli import main; main()"


class Process:
    """A process of ours and the lines of its log, which it is let go on writing."""

    def __init__(self, environ: Mapping[str, str], *arguments: str, before: str = "") -> None:
        self.lines: list[str] = []
        self._told = threading.Condition()
        self._child = subprocess.Popen(
            [sys.executable, "-c", before + _INGRESS, *arguments],
            env={"PATH": os.environ["PATH"], "INGRESS_LOG_FORMAT": "json", **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            with self._told:
                self.lines.append(line)
                self._told.notify_all()
        with self._told:
            self._told.notify_all()

    def event(self, name: str) -> dict[str, Any]:
        """Return the first log event of this name, waiting for it."""
        with self._told:
            self._told.wait_for(
                lambda: self._found(name) or not self._reader.is_alive(), timeout=PATIENCE
            )
        found = self._found(name)
        assert found is not None, f"no {name}:\n{''.join(self.lines)}"
        return found

    def _found(self, name: str) -> dict[str, Any] | None:
        for line in self.lines:
            if f'"{name}"' in line and (said := json.loads(line))["event"] == name:
                event: dict[str, Any] = said
                return event
        return None

    def end(self) -> int:
        """Ask it to stop and return its exit code."""
        self._child.send_signal(signal.SIGTERM)
        code = self._child.wait(PATIENCE)
        self._reader.join()
        return code

    def ended(self) -> int:
        """Wait until it ends by itself, and return its exit code."""
        return self._child.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join()
        if self._child.stderr is not None:
            self._child.stderr.close()


@dataclass
class Core:
    """The API over its database. Each workspace of a test is its own."""

    api: str
    client: httpx.Client
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    pool: asyncpg.Pool

    def key(self, role: Role, workspace: str) -> str:
        publisher = "edge-1" if role is Role.INGEST else None
        made = self.run(KeyStore(self.pool).create(role, workspace, publisher))
        text: str = made.text
        return text

    def revoke(self, key: str) -> None:
        self.run(KeyStore(self.pool).revoke(key.split("_")[1]))

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.run(self.pool.fetch(query, *arguments))]

    def read(self, workspace: str, path: str, **parameters: str) -> Any:
        key = {"x-api-key": self.key(Role.READ, workspace)}
        answer = self.client.get(
            f"/v1/workspaces/{workspace}/{path}", headers=key, params=parameters
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def snapshot(self, workspace: str) -> dict[str, tuple[Any, int]]:
        """Return value and quality of the one vehicle's signals."""
        (vehicle,) = self.read(workspace, "vehicles")["vehicles"]
        return {one["signal"]: (one["value"], one["quality"]) for one in vehicle["signals"]}

    def until(self, workspace: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for the accounting until it is as it should be."""
        deadline = time.monotonic() + PATIENCE
        while not condition(found := self.read(workspace, "accounting")):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)  # between two looks
        accounting: dict[str, Any] = found
        return accounting
