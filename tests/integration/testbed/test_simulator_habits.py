"""The simulated provider misbehaves over real sockets, and knows exactly what it did."""

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from core_ingest.providers.viriciti import interpret
from core_ingest.reading import Reading, Uninterpretable
from ingress_testbed.recordings import Frame, Recording, open_recording, write_recording
from ingress_testbed.simulator.habits import read_habits
from ingress_testbed.simulator.oddities import MAX_READ_BYTES
from ingress_testbed.simulator.sent import Sent, read_sent
from ingress_testbed.simulator.server import Manner, Simulator
from ingress_testbed.truth import SKEW_MS, facts_of_sent, truth_of_sent

pytestmark = pytest.mark.anyio

KEYS = {"first": "secret-1", "second": "secret-2"}
SUBSCRIPTION = json.dumps({"vehicles": {"bus": ["odo"]}})
START = 1_736_132_400_000
COUNT = 600
HORIZON = START + COUNT * 1_000 + SKEW_MS
OF_MESSAGES = (
    "drop=0.05",
    "duplicate=0.05",
    "disorder=0.05",
    "future=0.05",
    "past=0.05",
    "cut=0.05",
    "fragmented=0.1",
    "not-json=0.05",
    "oversized=100x2",
    "unknown-label=0.05",
    "glitch=0.02",
    "error=0.02",
    "acl=0.02",
)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    frames = [Frame("bus", "odo", f"{1_000 + at}.5", START + 1_000 * at) for at in range(COUNT)]
    write_recording(tmp_path / "day.jsonl", frames)
    return open_recording(tmp_path / "day.jsonl")


@asynccontextmanager
async def having(
    recording: Recording, *habits: str, seed: int = 1
) -> AsyncIterator[tuple[Simulator, list[Sent]]]:
    noted: list[Sent] = []
    simulator = Simulator(
        recording, keys=KEYS, habits=read_habits(habits, seed), sent_to=noted.extend
    )
    async with simulator.serving(), asyncio.timeout(60):
        yield simulator, noted


@asynccontextmanager
async def subscribed(
    simulator: Simulator, key: str = "secret-1", query: str = ""
) -> AsyncIterator[ClientConnection]:
    async with connect(
        f"{simulator.url}?apiKey={key}{query}",
        max_size=MAX_READ_BYTES,
        max_queue=None,  # who leaves early would otherwise wait for a handshake that it cannot read
        ping_interval=None,
    ) as client:
        await client.send(SUBSCRIPTION)
        assert await client.recv() == SUBSCRIPTION
        yield client


class QuickClock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def epoch_ms(self) -> int:
        return START

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let the simulator work until it is so."""
    while not condition():  # noqa: ASYNC110 — the simulator has no event for everything
        await asyncio.sleep(0)


async def until_closed(client: ClientConnection) -> list[bytes]:
    """Read everything up to the end of the connection."""
    found = []
    try:
        while True:
            found.append(await client.recv(decode=False))
    except ConnectionClosed:
        return found


def status(simulator: Simulator, key: str = "first") -> dict[str, Any]:
    found: dict[str, Any] = simulator.status()["keys"][key]
    return found


def read_by_core(data: bytes) -> list[Reading]:
    try:
        readings = interpret(data).readings
    except Uninterpretable:
        return []
    return [one for one in readings if isinstance(one, Reading)]


async def test_what_is_noted_is_what_a_client_reads_byte_for_byte(recording: Recording) -> None:
    async with having(recording, *OF_MESSAGES) as (simulator, noted):
        async with subscribed(simulator) as client:
            received: list[bytes] = []
            while not status(simulator)["finished"] or len(received) < len(noted):
                received.append(await client.recv(decode=False))
        assert [len(data) for data in received] == [one.size for one in noted]
        assert all(one.data in {None, data} for one, data in zip(noted, received, strict=True))
        told = status(simulator)
        assert told["messages"] == len(noted)
        assert told["sent"] == COUNT
        assert told["injected"].keys() == {one.partition("=")[0] for one in OF_MESSAGES}
        assert told["injected"]["oversized"] == 2
        of_the_log = Counter(habit for one in noted for habit in one.habits)
        assert of_the_log["future"] + of_the_log["past"] > 20
        assert of_the_log["glitch"] == 3 * told["injected"]["glitch"]


async def test_the_truth_of_what_was_sent_is_what_core_reads_in_it(recording: Recording) -> None:
    async with having(recording, *OF_MESSAGES, seed=7) as (simulator, noted):
        async with subscribed(simulator) as client:
            while not status(simulator)["finished"]:
                await client.recv()
        facts = {
            (interpret(one.data).external_id, reading.signal, reading.observed, reading.value)
            for one in noted
            if one.data is not None
            for reading in read_by_core(one.data)
            if reading.observed <= HORIZON * 1_000
        }
        truth = truth_of_sent(noted, horizon=HORIZON)
        assert {
            (v, s, t * 1_000, x) for v, s, t, x in facts_of_sent(noted, horizon=HORIZON)
        } == facts
        assert truth.facts == len(facts)
        told = status(simulator)["injected"]
        assert truth.frames == len(noted)
        assert truth.empty == told["error"] + told["acl"]
        assert truth.quarantined > 0
        assert truth.dead_lettered >= told["cut"] + told["not-json"] + told["oversized"]


async def test_a_late_frame_waits_until_those_before_it_are_due(recording: Recording) -> None:
    clock = QuickClock()
    arrived: list[tuple[Sent, float]] = []
    simulator = Simulator(
        recording,
        keys=KEYS,
        manner=Manner(speed=1),
        clock=clock,
        habits=read_habits(["disorder=100x5"]),
        sent_to=lambda sent: arrived.extend((one, clock.now) for one in sent),
    )
    async with simulator.serving(), subscribed(simulator) as client:
        for _ in range(COUNT):
            await client.recv()
    sent = [(json.loads(one.data or b"")["payload"]["time"], at) for one, at in arrived]
    assert [time for time, _ in sent] != sorted(time for time, _ in sent)
    assert all((time - START) / 1_000 <= at for time, at in sent)
    assert max(at - (time - START) / 1_000 for time, at in sent) <= 10


async def test_equal_seeds_make_equal_mischief_for_every_key_its_own(recording: Recording) -> None:
    runs = []
    for seed in (3, 3, 4):
        async with having(recording, *OF_MESSAGES, seed=seed) as (simulator, noted):
            async with subscribed(simulator) as client:
                while not status(simulator)["finished"]:
                    await client.recv()
            runs.append(noted)
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


async def test_a_disconnect_is_sudden_and_what_was_sent_before_was_received(
    recording: Recording,
) -> None:
    async with having(recording, "disconnect=100x5", "duplicate=0.1") as (simulator, noted):
        received: list[bytes | None] = []
        for times in range(1, 6):
            async with subscribed(simulator) as client:
                received += await until_closed(client)
                assert client.close_code == 1006
            assert status(simulator)["injected"]["disconnect"] == times
            assert status(simulator)["sent"] == 100 * times
        async with subscribed(simulator) as client:
            while len(received) < len(noted) or not status(simulator)["finished"]:
                received.append(await client.recv(decode=False))
        assert received == [one.data for one in noted]
        assert truth_of_sent(noted, horizon=HORIZON).facts == COUNT


async def test_a_half_open_socket_is_deaf_and_silent_and_the_next_one_goes_on(
    recording: Recording,
) -> None:
    async with having(recording, "half-open=50") as (simulator, _):
        async with subscribed(simulator) as silent:
            for _ in range(50):
                await silent.recv()
            await until(lambda: simulator._by_name["first"]._silent)
            pong = asyncio.ensure_future(await silent.ping())
            async with subscribed(simulator, "secret-2") as other:  # the server itself is well
                for _ in range(50):
                    await other.recv()
            assert not pong.done()
            assert status(simulator)["connected"]
            async with subscribed(simulator) as client:
                assert json.loads(await client.recv())["payload"]["time"] == START + 50_000
                with pytest.raises(ConnectionClosedError):  # the provider lets go of the old one
                    await silent.recv()
                with pytest.raises(ConnectionClosedError):
                    await pong
        assert status(simulator)["injected"] == {"half-open": 1}


async def test_a_half_open_socket_does_not_keep_the_simulator_from_ending(
    recording: Recording,
) -> None:
    async with AsyncExitStack() as clients:
        async with having(recording, "half-open=1") as (simulator, _):
            silent = await clients.enter_async_context(subscribed(simulator))
            await silent.recv()
            await until(lambda: simulator._by_name["first"]._silent)
        with pytest.raises(ConnectionClosedError):
            await silent.recv()


async def test_a_revoked_key_loses_its_socket_and_gets_401_until_it_is_restored(
    recording: Recording,
) -> None:
    async with having(recording, "revoke=70") as (simulator, noted):
        async with subscribed(simulator) as client:
            assert len(await until_closed(client)) == 70
            assert client.close_code == 1008
            assert client.close_reason == "this API key was revoked"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{simulator.url}?apiKey=secret-1")
        assert refused.value.response.status_code == 401
        assert status(simulator)["revoked"]
        async with subscribed(simulator, "secret-2") as other:
            await other.recv()
        simulator.restore("first")
        async with subscribed(simulator) as client:
            await client.recv()
        assert not status(simulator)["revoked"]
        assert noted[0].key == "first"


async def test_a_key_can_be_revoked_at_any_time(recording: Recording) -> None:
    async with having(recording) as (simulator, _), subscribed(simulator) as client:
        await simulator.revoke("first")
        await until_closed(client)
        assert client.close_code == 1008
        assert status(simulator)["injected"] == {}


async def test_a_huge_frame_closes_the_socket_with_1009_and_is_not_sent_again(
    recording: Recording,
) -> None:
    async with having(recording, "huge=30") as (simulator, noted):
        async with subscribed(simulator) as client:
            assert len(await until_closed(client)) == 30
            assert client.protocol.close_sent is not None
            assert client.protocol.close_sent.code == 1009
        assert noted[-1].size > MAX_READ_BYTES
        async with subscribed(simulator) as client:
            for at in range(30, COUNT):
                payload = json.loads(await client.recv())["payload"]
                assert payload["time"] == START + at * 1_000
        assert status(simulator)["injected"] == {"huge": 1}
        truth = truth_of_sent(noted, horizon=HORIZON)
        assert (truth.facts, truth.unread, truth.frames) == (COUNT, 1, COUNT)


async def test_data_may_never_start(recording: Recording) -> None:
    async with having(recording, "no-data=1") as (simulator, noted):
        async with subscribed(simulator) as client:
            await (await client.ping())
            assert noted == []
        async with subscribed(simulator) as client:
            await client.recv()
        assert status(simulator)["injected"] == {"no-data": 1}


async def test_a_greeting_may_never_end(recording: Recording) -> None:
    async with having(recording, "endless-greeting=1x2") as (simulator, noted):
        for _ in range(2):
            async with subscribed(simulator) as client:
                for _ in range(3):
                    assert json.loads(await client.recv())["type"] == "acl"
        assert status(simulator)["injected"] == {"endless-greeting": 2}
        assert status(simulator)["sent"] == 0
        assert {one.habits for one in noted} == {("endless-greeting",)}
        async with subscribed(simulator) as client:
            assert json.loads(await client.recv())["payload"]["time"] == START


async def test_what_was_dropped_comes_with_a_resend(recording: Recording) -> None:
    async with having(recording, "drop=1x600") as (simulator, noted):
        async with subscribed(simulator) as client:
            await until(lambda: status(simulator)["finished"])
            await (await client.ping())
        assert noted == []
        async with subscribed(simulator, query="&resend=all") as client:
            for _ in range(COUNT):
                await client.recv()
        assert truth_of_sent(noted, horizon=HORIZON).facts == COUNT


def test_the_command_writes_what_it_sends_and_counts_it_in_its_status(
    recording: Recording, tmp_path: Path
) -> None:
    ingress = "from ingress_runtime.cli import main; main(prog_name='ingress')"
    arguments = ["--replay", str(recording.path), "--speed", "max", "--auth-delay", "0"]
    arguments += ["--habit", "future=10x3", "--habit", "drop=5", "--sent", str(tmp_path / "sent")]
    with subprocess.Popen(
        [sys.executable, "-c", ingress, "simulator", *arguments, "--seed", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        received = asyncio.run(_received(address, COUNT - 1))
        status = httpx.get(address.replace("ws:", "http:").replace("/api/v2/live", "/status"))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    told = status.json()["keys"]["key-1"]
    assert told["injected"] == {"drop": 1, "future": 3}
    noted = list(read_sent(tmp_path / "sent"))
    assert [one.data for one in noted] == received
    assert [one.habits for one in noted].count(("future",)) == 3
    assert "simulated" not in (tmp_path / "sent").read_text()


async def _received(address: str, count: int) -> list[bytes]:
    async with asyncio.timeout(20), connect(f"{address}?apiKey=simulated") as client:
        await client.send(SUBSCRIPTION)
        await client.recv()
        return [await client.recv(decode=False) for _ in range(count)]
