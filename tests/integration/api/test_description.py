"""The API does what its OpenAPI document says, whoever asks, and never fails on an input."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest

from core_api.key_store import KeyStore
from core_api.keys import Role
from core_ingest.store import database
from core_ingest.store.identities import vehicle_id
from ingress_contracts import http

BIN = Path(sys.executable).parent
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
VEHICLE = vehicle_id("acme", "viriciti", "bus_1")
EXAMPLES = {"nightly": 2_000}
"""Examples of each operation by Hypothesis' profile; a few by day, since schemas' edges come too."""


@pytest.fixture
def api_url(database_url: str) -> Iterator[str]:
    """A process of the API as it runs anywhere else."""
    environment = {
        "PATH": os.environ["PATH"],
        "INGRESS_DATABASE_URL": database_url,
        "INGRESS_LOG_FORMAT": "json",
        "CORE_API_PORT": "0",
    }
    with subprocess.Popen(
        [BIN / "ingress", "api"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            events = map(json.loads, process.stderr)
            listening = next(event for event in events if event["event"] == "api_listening")
            reading = threading.Thread(target=process.stderr.read)
            reading.start()
            yield f"http://127.0.0.1:{listening['port']}"
        finally:
            process.terminate()
        reading.join()


def keys_of(database_url: str) -> dict[Role, str]:
    """Make a key of each role."""

    async def make() -> dict[Role, str]:
        pool = await database.connect(database_url, min_size=1, max_size=1)
        store = KeyStore(pool)
        made = {
            Role.INGEST: await store.create(Role.INGEST, "acme", "edge-1"),
            Role.READ: await store.create(Role.READ, "acme", None),
            Role.ADMIN: await store.create(Role.ADMIN, None, None),
        }
        await pool.close()
        return {role: key.text for role, key in made.items()}

    return asyncio.run(make())


def explore(
    directory: Path, url: str, key: str, configuration: Path, *more: str
) -> subprocess.Popen[str]:
    """Begin to explore the document: its examples, its schemas' edges, fuzz, and sequences."""
    examples = EXAMPLES.get(hypothesis.settings.get_current_profile_name(), 20)
    return subprocess.Popen(
        [
            BIN / "schemathesis", "--config-file", configuration, "run", f"{url}/openapi.json",
            "--checks", "all", "--max-examples", str(examples), "--seed", "1",
            "--header", f"Authorization: Bearer {key}", *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,  # it leaves notes where it runs
    )  # fmt: skip


def test_api_keeps_to_its_description_whoever_asks(
    api_url: str, database_url: str, messages: Any, tmp_path: Path
) -> None:
    keys = keys_of(database_url)
    sent = httpx.post(
        f"{api_url}/v1/provider-ingest",
        content=http.encode_batch([messages.frame(label, 57.5) for label in ("soc", "note")]),
        headers={"content-type": http.BATCH, "x-api-key": keys[Role.INGEST]},
    )
    assert sent.status_code == 200
    existing = tmp_path / "schemathesis.toml"  # reads that find something
    parameters = f'[parameters]\n"path.workspace" = "acme"\n"path.vehicle" = "{VEHICLE}"\n'
    existing.write_text(f"{CONFIGURATION.read_text()}\n{parameters}")

    runs = {
        "ingest": explore(tmp_path, api_url, keys[Role.INGEST], CONFIGURATION),
        "read": explore(
            tmp_path, api_url, keys[Role.READ], existing, "--include-path-regex", "workspaces"
        ),
        "admin": explore(tmp_path, api_url, keys[Role.ADMIN], CONFIGURATION),
    }
    said = {name: run.communicate()[0] for name, run in runs.items()}

    failed = [said[name] for name, run in runs.items() if run.returncode != 0]
    assert not failed, "\n".join(failed)
    paths = httpx.get(f"{api_url}/openapi.json").json()["paths"]
    operations = sum(map(len, paths.values()))
    assert f"{operations} selected / {operations} total" in said["ingest"]
