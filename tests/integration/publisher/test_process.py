"""The publisher as it is run: a process of its own, between a provider and core's door."""

import asyncio
import json
import os
import random
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ingress_contracts.control import Checkpoint, Undeliverable
from ingress_contracts.envelope import MAX_DATA_BYTES, Envelope
from ingress_contracts.kinds import CHECKPOINT, CONNECTION, PROVIDER_MESSAGE, UNDELIVERABLE
from ingress_testbed.demo.installation import streams_toml

if TYPE_CHECKING:
    from uuid import UUID

    from websockets.asyncio.server import ServerConnection

    from tests.integration.publisher.door import Door, Reply, Request
    from tests.integration.publisher.provider_server import ProviderServer

pytestmark = pytest.mark.anyio

SECRETS = ("provider-secret-key", "ingest-secret-key")
BROKEN = """
import sqlite3
from telematics_publisher.journal.store import JournalStore

def append(self, records):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    raise error

JournalStore.append = append
"""


def two_streams(url: str, second: str) -> str:
    """Return a streams.toml: `fleet` of acme, and `trams` of the workspace `second`."""
    fleet, trams = (
        streams_toml("edge-1", url, {"arcc_004": ["soc"]}, workspace)
        for workspace in ("acme", second)
    )
    begin = trams.index("[[streams]]") if second == "acme" else 0
    return fleet + trams[begin:].replace('"fleet"', '"trams"')


class Process:
    """A running publisher and what it logs."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.log = ""

    async def event(self, name: str) -> dict[str, Any]:
        """Return the next log event of this name."""
        assert self.child.stderr is not None
        while line := (await self.child.stderr.readline()).decode():
            self.log += line
            if line.startswith("{") and (said := json.loads(line)).get("event") == name:
                event: dict[str, Any] = said
                return event
        raise AssertionError(f"the publisher ended without {name}:\n{self.log}")

    async def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, read the log to its end, return the exit code."""
        assert self.child.stderr is not None
        if number is not None:
            self.child.send_signal(number)
        self.log += (await self.child.stderr.read()).decode()
        return await self.child.wait()


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, door: "Door", provider: "ProviderServer") -> Run:
    """Start `ingress publisher run` against the door and the provider."""

    @asynccontextmanager
    async def start(
        *, second: str = "beta", file_bytes: int = -1, before: str = "", **settings: str
    ) -> AsyncIterator[Process]:
        streams = tmp_path / "streams.toml"
        streams.write_text(two_streams(provider.url, second))
        environ = {
            "PATH": os.environ["PATH"],
            "PROVIDER_KEY": SECRETS[0],
            "INGEST_KEY": SECRETS[1],
            "INGRESS_API_URL": door.url,
            "INGRESS_LOG_FORMAT": "json",
            "PUBLISHER_JOURNAL_DIR": str(tmp_path / "journals"),
            "PUBLISHER_METRICS_PORT": "0",
            "PUBLISHER_CHECKPOINT_SECONDS": "0.05",
        }
        limit = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({file_bytes}, -1))"
        program = f"{limit}\n{before}\nfrom ingress_runtime.cli import main; main()"
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, "publisher", "run", "--streams", str(streams)),
            env=environ | settings,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield Process(child)
        finally:
            if child.returncode is None:
                child.kill()
            await child.communicate()

    return start


@pytest.fixture
def helpers(doors: Any, provider_servers: Any) -> tuple[Any, Any]:
    return doors, provider_servers


def of(door: "Door", kind: str, workspace: str = "acme") -> list[Envelope]:
    """What arrived, by number: batches in flight may overtake each other."""
    arrived = [one for one in door.accepted if (one.type, one.workspaceid) == (kind, workspace)]
    return sorted(arrived, key=lambda one: one.sequence or 0)


def last_checkpoint(door: "Door", workspace: str = "acme") -> Checkpoint:
    bodies = [Checkpoint.model_validate_json(one.data) for one in of(door, CHECKPOINT, workspace)]
    return max(bodies, key=lambda body: body.number)


def sends(frames: list[str]) -> Callable[["ServerConnection"], Any]:
    async def send(connection: "ServerConnection") -> None:
        for frame in frames:
            await connection.send(frame)
        await connection.wait_closed()

    return send


async def test_frames_reach_core_and_sigterm_leaves_nothing_behind(
    run: Run, door: "Door", provider: "ProviderServer", provider_servers: Any
) -> None:
    frames = [provider_servers.frame(number) for number in range(500)]
    big = json.dumps(
        {"type": "vehicles", "payload": {"vid": "arcc_004", "x": "x" * MAX_DATA_BYTES}}
    )
    provider.behaviours = [sends([*frames, big])]
    async with run() as publisher:
        await door.until(
            lambda door: all(of(door, UNDELIVERABLE, workspace) for workspace in ("acme", "beta"))
        )
        assert await publisher.end(signal.SIGTERM) == 0
    for workspace in ("acme", "beta"):
        arrived = [one.data.decode() for one in of(door, PROVIDER_MESSAGE, workspace)]
        assert arrived == frames
        (report,) = of(door, UNDELIVERABLE, workspace)
        assert Undeliverable.model_validate_json(report.data).size == len(big)
        states = [json.loads(one.data)["state"] for one in of(door, CONNECTION, workspace)]
        assert states == ["connected", "subscribed", "disconnected"]
        (epoch,) = last_checkpoint(door, workspace).epochs
        assert (epoch.first, epoch.head, epoch.pending) == (1, 505, ())


async def test_two_streams_of_a_workspace_share_its_journal(
    run: Run, door: "Door", provider: "ProviderServer", provider_servers: Any
) -> None:
    provider.behaviours = [sends([provider_servers.frame(number) for number in range(20)])]
    async with run(second="acme") as publisher:
        await door.until(lambda door: len(of(door, PROVIDER_MESSAGE)) == 40)
        assert await publisher.end(signal.SIGTERM) == 0
    assert '"publisher_drained"' in publisher.log
    assert '"reason": null' not in publisher.log
    sources = {one.source for one in of(door, PROVIDER_MESSAGE)}
    assert sources == {"/viriciti/acme/fleet", "/viriciti/acme/trams"}
    ids = [one.id for one in of(door, PROVIDER_MESSAGE)]
    assert len(set(ids)) == 20  # the same frames by both streams carry the same ids


async def test_what_core_did_not_take_in_time_waits_for_the_next_start(
    run: Run, door: "Door", provider: "ProviderServer", provider_servers: Any, doors: Any
) -> None:
    provider.behaviours = [sends([provider_servers.frame(number) for number in range(50)])]
    door.reply = lambda _: doors.Reply(503)
    async with run(PUBLISHER_GRACE_SECONDS="0.2") as publisher:
        await door.until(lambda door: any(len(one.envelopes) > 10 for one in door.requests))
        assert await publisher.end(signal.SIGTERM) == 0
    assert '"publisher_not_drained"' in publisher.log
    assert publisher.log.count('"transport_away"') == 2  # one for each workspace
    assert "frames wait in the journal" in publisher.log
    assert '"send_retried"' not in publisher.log
    door.reply = doors.accept
    provider.behaviours = [sends([])]
    async with run() as publisher:
        await door.until(lambda door: len(of(door, PROVIDER_MESSAGE)) == 50)
        assert await publisher.end(signal.SIGTERM) == 0
    assert len({one.publisherepoch for one in of(door, PROVIDER_MESSAGE)}) == 1


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_journalled_is_lost_when_the_process_is_killed_again_and_again(
    run: Run,
    door: "Door",
    provider: "ProviderServer",
    helpers: tuple[Any, Any],
    seed: int,
) -> None:
    doors, provider_servers = helpers
    chance = random.Random(seed)

    def moody(request: "Request") -> "Reply":
        mood = chance.random()
        if mood < 0.1:  # taken, but the answer is lost
            door.accepted += request.envelopes
            lost: Reply = doors.Reply(None)
            return lost
        answer: Reply = doors.Reply(503) if mood < 0.2 else doors.accept(request)
        return answer

    door.reply = moody
    provider.behaviours = [sends([provider_servers.frame(number) for number in range(2_000)])]
    for _ in range(2):
        async with run() as publisher:
            enough = len(door.requests) + chance.randrange(3, 40)
            await door.until(lambda door, enough=enough: len(door.requests) >= enough)  # type: ignore[misc]
            await publisher.end(signal.SIGKILL)
    door.reply = doors.accept
    provider.behaviours = [sends([])]
    async with run() as publisher:
        await publisher.event("workspace_opened")
        assert await publisher.end(signal.SIGTERM) == 0
    for workspace in ("acme", "beta"):
        numbered = [one for one in door.accepted if one.workspaceid == workspace and one.sequence]
        arrived: dict[UUID | None, set[int]] = {}
        for one in numbered:
            arrived.setdefault(one.publisherepoch, set()).add(one.sequence or 0)
        epochs = sorted(arrived.items(), key=lambda item: min(item[1]))
        numbers = [number for _, epoch in epochs for number in sorted(epoch)]
        assert numbers == list(range(1, len(numbers) + 1)), (
            "every number arrived, each in one epoch"
        )
        assert all(not epoch.pending for epoch in last_checkpoint(door, workspace).epochs)
        assert last_checkpoint(door, workspace).epochs[-1].head == len(numbers)


async def test_a_refused_key_is_said_loudly_and_frames_are_kept(
    run: Run, door: "Door", provider: "ProviderServer", provider_servers: Any, doors: Any
) -> None:
    provider.behaviours = [sends([provider_servers.frame(number) for number in range(30)])]
    door.reply = lambda _: doors.Reply(401, b'{"title":"Unknown key"}')
    async with run(second="acme") as publisher:
        port = (await publisher.event("metrics_served"))["port"]
        said = await publisher.event("sender_stopped")
        assert "HTTP 401: Unknown key" in said["error"]
        assert "API key" in said["remedy"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            ready, alive = [await client.get(path) for path in ("/readyz", "/livez")]
            assert (ready.status_code, alive.status_code) == (503, 200)
            metrics = (await client.get("/metrics")).text
        assert re.search(r'publisher_senders_stopped\{cause="not_authorised"\} [12]\.0', metrics)
        assert await publisher.end(signal.SIGTERM) == 0
    assert re.search(r'"left_in_journal": [1-9]', publisher.log)


async def test_probes_and_metrics_tell_how_it_goes(
    run: Run, door: "Door", provider: "ProviderServer", provider_servers: Any
) -> None:
    provider.behaviours = [sends([provider_servers.frame(number) for number in range(30)])]
    async with run() as publisher:
        port = (await publisher.event("metrics_served"))["port"]
        await door.until(
            lambda door: len(of(door, CONNECTION)) + len(of(door, CONNECTION, "beta")) == 4
        )
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/readyz")).status_code == 200
            metrics = (await client.get("/metrics")).text
        await publisher.end(signal.SIGTERM)
    for name in (
        'publisher_frames_received_total{provider="viriciti"}',
        "publisher_records_journalled_total",
        'publisher_records_acknowledged_total{transport="http"}',
        "publisher_journal_pending_records",
        "publisher_journal_bytes",
        'publisher_streams{provider="viriciti",state="subscribed"} 2.0',
    ):
        assert name in metrics


async def test_no_log_shows_a_secret_at_any_level(
    run: Run, door: "Door", provider: "ProviderServer", provider_servers: Any
) -> None:
    provider.behaviours = [sends([provider_servers.frame(1)])]
    async with run(INGRESS_LOG_LEVEL="debug") as publisher:
        await door.until(lambda door: bool(of(door, PROVIDER_MESSAGE)))
        assert await publisher.end(signal.SIGTERM) == 0
    assert "/api/v2/live?apiKey=***" in publisher.log
    assert not [secret for secret in SECRETS if secret in publisher.log]


async def test_a_second_process_on_the_same_journals_is_told_why_it_ends(
    run: Run, door: "Door"
) -> None:
    async with run() as first:
        await first.event("stream_state")
        async with run() as second:
            assert await second.end() == 1
            assert "is open in another process" in second.log
        await first.end(signal.SIGTERM)
    assert door.accepted


async def test_a_full_disk_is_survived_and_nothing_is_lost(
    run: Run, door: "Door", provider: "ProviderServer", helpers: tuple[Any, Any]
) -> None:
    doors, provider_servers = helpers
    door.reply = lambda _: doors.Reply(503)
    frames = [provider_servers.frame(number) for number in range(30_000)]
    provider.behaviours = [sends(frames)]
    async with run(second="acme", file_bytes=2**20) as publisher:
        said = await publisher.event("journal_disk_full")
        assert "streams are not read" in said["consequence"]
        door.reply = doors.accept
        resource.prlimit(publisher.child.pid, resource.RLIMIT_FSIZE, (-1, -1))
        await publisher.event("journal_disk_has_room")
        await door.until(lambda door: len(of(door, PROVIDER_MESSAGE)) >= 2 * len(frames))
        assert await publisher.end(signal.SIGTERM) == 0
    arrived = [one.data.decode() for one in of(door, PROVIDER_MESSAGE)]
    assert sorted(arrived) == sorted(2 * frames)
    numbers = [one.sequence for one in door.accepted if one.sequence]
    assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))
    assert last_checkpoint(door).epochs[0].pending == ()


async def test_a_disk_that_stays_full_does_not_keep_a_process_that_is_asked_to_stop(
    run: Run, door: "Door", provider: "ProviderServer", helpers: tuple[Any, Any]
) -> None:
    doors, provider_servers = helpers
    door.reply = lambda _: doors.Reply(503)
    provider.behaviours = [sends([provider_servers.frame(number) for number in range(30_000)])]
    async with run(file_bytes=2**20, PUBLISHER_GRACE_SECONDS="0.1") as publisher:
        await publisher.event("journal_disk_full")
        assert await publisher.end(signal.SIGTERM) == 0
    assert "frames_not_journalled" in publisher.log
    assert "Traceback" not in publisher.log


async def test_a_full_journal_drops_its_oldest_where_that_is_the_policy_and_core_is_told(
    run: Run, door: "Door", provider: "ProviderServer", helpers: tuple[Any, Any]
) -> None:
    doors, provider_servers = helpers
    door.reply = lambda _: doors.Reply(503)
    provider.behaviours = [sends([provider_servers.frame(number) for number in range(30_000)])]
    full = {"PUBLISHER_JOURNAL_WHEN_FULL": "drop-oldest", "PUBLISHER_JOURNAL_MAX_BYTES": str(2**20)}
    async with run(**full) as publisher:
        await publisher.event("journal_drops_records")
        door.reply = doors.accept
        await door.until(lambda door: any(dropped(door, name) for name in ("acme", "beta")))
        assert await publisher.end(signal.SIGTERM) == 0
    assert '"publisher_drained"' in publisher.log
    for workspace in ("acme", "beta"):
        arrived = {
            one.sequence for one in door.accepted if one.workspaceid == workspace and one.sequence
        }
        gone = dropped(door, workspace)
        assert arrived.isdisjoint(gone)
        (epoch,) = last_checkpoint(door, workspace).epochs
        assert arrived | gone == set(range(1, epoch.head + 1)), "each came, or is told as dropped"


def dropped(door: "Door", workspace: str) -> set[int]:
    """The numbers that checkpoints told as given up."""
    return {
        number
        for one in of(door, CHECKPOINT, workspace)
        for epoch in Checkpoint.model_validate_json(one.data).epochs
        for low, high in epoch.dropped
        for number in range(low, high + 1)
    }


async def test_a_journal_whose_fsync_failed_ends_the_process(run: Run) -> None:
    async with run(before=BROKEN) as publisher:
        assert await publisher.end() == 1
    assert "writing the journal failed, the process must end: disk I/O error" in publisher.log
    assert "Traceback" not in publisher.log


async def test_a_mistake_in_the_streams_is_told_and_nothing_starts(
    run: Run, door: "Door", provider: "ProviderServer"
) -> None:
    async with run(PROVIDER_KEY="") as publisher:
        assert await publisher.end() == 2
    assert "environment variable PROVIDER_KEY is not set or empty" in publisher.log
    assert "Traceback" not in publisher.log
    assert (door.requests, provider.paths) == ([], [])
