"""Whatever goes wrong, no secret is written anywhere."""

import asyncio
import base64
import json
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import httpx
import psutil
import pytest

from core_api.key_store import KeyStore
from ingress_contracts.http import BATCH
from ingress_testbed.demo.processes import environment, ingress
from ingress_testbed.faults.design import API, PUBLISHER, Design
from ingress_testbed.faults.plant import Plant
from ingress_testbed.faults.planting import planted
from ingress_testbed.faults.proxy import Proxy
from ingress_testbed.fleet import FleetPlan
from ingress_testbed.fleet_file import record_fleet
from ingress_testbed.recordings import open_recording

pytestmark = [pytest.mark.anyio, pytest.mark.trials]

INVENTED = "invented-83b1f7a2c95d"
SECONDS = 60
HABITS = (
    "not-json=50",
    "cut=60",
    "unknown-label=70",
    "error=80",
    "acl=90",
    "future=100",
    "past=110",
    "oversized=120",
    "disconnect=200",
    "revoke=1500",
)
TALKATIVE = {"INGRESS_LOG_LEVEL": "debug"}


async def test_no_secret_is_written_whatever_goes_wrong(postgres_url: str, tmp_path: Path) -> None:
    day = tmp_path / "day.jsonl"
    record_fleet(FleetPlan(vehicles=3, hours=0.2, seed=5), day)
    design = Design(
        open_recording(day),
        resend=False,
        habits=HABITS,
        api={**TALKATIVE, "CORE_API_KEY_CACHE_SECONDS": "0"},
        publisher=TALKATIVE,
    )
    server = urlsplit(postgres_url)
    road = Proxy(server.hostname or "", server.port or 0)
    async with road.serving(), planted(design, tmp_path, postgres_url, road) as plant:
        seen: dict[str, bytes] = {}
        await everything_goes_wrong(plant, road, seen)
        seen |= {f"table {name}": rows async for name, rows in tables(plant.pool)}
        seen |= files(tmp_path)
        secrets = (*astuple(plant.secrets), INVENTED)

    everything = b"".join(seen.values())
    for event in ("fault_kills_process", "sender_stopped", "stream_not_authorised", "send_retried"):
        assert event.encode() in everything
    assert seen["table dead_letters"]
    assert list(leaks(secrets, seen)) == []


def test_demo_shows_no_secret_but_the_key_to_read_with(postgres_url: str, tmp_path: Path) -> None:
    secrets: set[str] = {INVENTED}
    url = _with_password(postgres_url, INVENTED)
    with subprocess.Popen(
        [*ingress("demo", "--transport", "http", "--vehicles", "2", "--speed", "max", "--json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(INGRESS_DATABASE_URL=url, TMPDIR=str(tmp_path)),
    ) as demo:
        written: dict[str, bytes] = {}
        while demo.poll() is None:
            secrets |= told_to_children(demo.pid)
            for log in tmp_path.rglob("*.log"):
                written[str(log)] = _read(log) or written.get(str(log), b"")
            _breathe(demo)
        out, errors = demo.communicate()

    assert demo.returncode == 0, errors
    assert len(secrets) >= 3  # the password, the provider's key, the key to core
    assert any("publisher-1" in name for name in written)
    assert list(leaks(sorted(secrets), {**written, "stdout": out, "stderr": errors})) == []


async def everything_goes_wrong(plant: Plant, road: Proxy, seen: dict[str, bytes]) -> None:
    """Run into every error that there is to run into, and note what was answered in `seen`."""
    fault = {"INGRESS_FAULTS": "publisher.batch.answered:kill@3", "INGRESS_FAULTS_ALLOWED": "yes"}
    await plant.start(API)
    process = await plant.start(PUBLISHER, fault)
    await process.end
    await plant.start(PUBLISHER)
    seen["a refused key of the provider"] = await when(
        plant, lambda text: re.search(r'cause="not_authorised".*\} [1-9]', text)
    )
    road.cut = True
    await road.hang_up()
    answers = await wrong_requests(plant)
    seen |= {f"{name}, without a database": answer for name, answer in answers.items()}
    await when(plant, lambda text: re.search(r'\{result="unavailable".*\} [1-9]', text))
    road.cut = False
    await _answers(plant, 200)
    seen |= await wrong_requests(plant)
    await KeyStore(plant.pool).revoke(plant.secrets.ingest_key.split("_")[1])
    seen["metrics of the publisher"] = await when(
        plant, lambda text: re.search(r"publisher_senders_stopped\{.*\} 1", text)
    )
    seen["metrics of core"] = (await plant.get(f"{plant.api_url}/metrics")).content
    seen |= wrong_starts(plant)
    await plant.kill(PUBLISHER)
    await plant.stop(API)


async def wrong_requests(plant: Plant) -> Mapping[str, bytes]:
    """Ask for what core refuses, with secrets wherever a client may put them."""
    known = plant.secrets
    url = f"{plant.api_url}/v1/workspaces"
    answers = {
        "no JSON": await plant.post(known.ingest_key.encode(), BATCH),
        "no type that is known": await plant.post(b"[]", f"text/{known.ingest_key}"),
        "no key that is known": await plant.post(b"[]", BATCH, INVENTED),
        "a key for reading": await plant.post(b"[]", BATCH, known.read_key),
        "a key in the query": await plant.get(f"{url}/demo/vehicles?limit={known.read_key}"),
        "a key in the path": await plant.get(f"{url}/{known.admin_key}/vehicles"),
        "no route": await plant.get(f"{plant.api_url}/{known.admin_key}?key={known.admin_key}"),
        "readiness": await plant.get(f"{plant.api_url}/readyz"),
    }
    assert {answer.status_code for answer in answers.values()} - {200} >= {401}
    return {name: _answer(response) for name, response in answers.items()}


def wrong_starts(plant: Plant) -> Mapping[str, bytes]:
    """Start processes with settings that cannot be right, and return what they say."""
    known = plant.secrets
    streams = str(plant.directory / "streams.toml")
    there = f"core:{known.database_password}@127.0.0.1"
    starts = {
        "no Postgres there": (("api",), {"INGRESS_DATABASE_URL": f"postgresql://{there}:1/x"}),
        "no URL of Postgres": (("api",), {"INGRESS_DATABASE_URL": f"mysql://{there}/x"}),
        "no URL at all": (("keys", "list"), {"INGRESS_DATABASE_URL": known.database_password}),
        "no URL of core": (
            ("publisher", "run", "--streams", streams),
            {
                "INGRESS_API_URL": f"https://core/?key={known.ingest_key}",
                "INGEST_KEY": known.ingest_key,
                "PROVIDER_KEY": known.provider_key,
            },
        ),
    }
    said: dict[str, bytes] = {}
    for name, (arguments, variables) in starts.items():
        done = subprocess.run(
            ingress(*arguments),
            env=environment(CORE_API_PORT="0", **variables),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode in {1, 2}, done
        said[name] = done.stdout + done.stderr
    return said


async def when(plant: Plant, enough: Callable[[str], object]) -> bytes:
    """Return the publisher's metrics once they are `enough`."""
    async with asyncio.timeout(SECONDS):
        while True:
            metrics = await plant.get(plant.metrics_url)
            if enough(metrics.text):
                return metrics.content
            await asyncio.sleep(0.1)


async def _answers(plant: Plant, status: int) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            if (await plant.get(f"{plant.api_url}/readyz")).status_code == status:
                return
            await asyncio.sleep(0.1)


def files(directory: Path) -> dict[str, bytes]:
    """Return every file below `directory`."""
    return {str(file): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


async def tables(pool: asyncpg.Pool) -> AsyncIterator[tuple[str, bytes]]:
    """Yield every table with its rows as text, and bytes in them as they are."""
    names = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (name,) in names:
        rows = await pool.fetch(f'SELECT * FROM "{name}"')  # noqa: S608 — a table of ours
        cells = (cell for row in rows for cell in row.values())
        yield (
            name,
            b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells),
        )


def leaks(secrets: Sequence[str], seen: Mapping[str, bytes]) -> Iterator[str]:
    """Yield where a secret can be read: as it is, percent-encoded, or in base64.

    Of a key of core's the last part is the secret, the rest names the key.
    """
    for number, secret in enumerate(secrets):
        part = secret.split("_", 2)[2] if secret.startswith("ik_") else secret
        forms = {part, quote(part, safe=""), base64.b64encode(part.encode()).decode()}
        for place, content in seen.items():
            if any(form.encode() in content for form in forms):
                yield f"secret {number} is in {place}"


def told_to_children(pid: int) -> set[str]:
    """Return the secrets that the processes of a demo have in their environments."""
    found: set[str] = set()
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return found
    for child in children:
        try:
            told = child.environ()
        except psutil.Error:
            continue
        found |= {told[name] for name in ("INGEST_KEY", "PROVIDER_KEY") if name in told}
    return found


def _answer(response: httpx.Response) -> bytes:
    return json.dumps(dict(response.headers)).encode() + response.content


def _with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    netloc = f"{parts.username}:{password}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # the demo has cleaned up
        return None


def _breathe(process: subprocess.Popen[bytes]) -> None:
    """Look again in a moment, or when `process` has ended."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.1)


@pytest.mark.parametrize("written", ["a+secret/", "a%2Bsecret%2F", "YStzZWNyZXQv"])
def test_secret_is_found_as_it_is_or_encoded(written: str) -> None:
    assert list(leaks(["a+secret/"], {"somewhere": f"key={written}".encode()}))
