import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from ingress_testbed.recordings import Frame, Recording, open_recording, write_recording
from ingress_testbed.simulator.server import Manner, Simulator

pytestmark = pytest.mark.anyio

KEYS = {"first": "secret-1", "second": "secret-2"}
FRAMES = [
    Frame(vid, label, str(time), 1_000 * time)
    for time in range(50)
    for vid in ("a", "b")
    for label in ("odo", "soc")
]
EVERYTHING = {"a": ["odo", "soc"], "b": ["odo", "soc"]}
ONLY_A = {"a": ["odo"]}


class FakeClock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def epoch_ms(self) -> int:
        return 1_800_000_000_000

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.slept.append(seconds)
            self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    write_recording(tmp_path / "day.jsonl", FRAMES)
    return open_recording(tmp_path / "day.jsonl")


@pytest.fixture
async def simulator(recording: Recording) -> AsyncIterator[Simulator]:
    async with Simulator(recording, keys=KEYS).serving() as serving:
        yield serving


@asynccontextmanager
async def subscribed(
    url: str, vehicles: dict[str, list[str]], key: str = "secret-1", query: str = ""
) -> AsyncIterator[ClientConnection]:
    async with connect(f"{url}?apiKey={key}{query}") as client:
        subscription = json.dumps({"vehicles": vehicles})
        await client.send(subscription)
        assert await client.recv() == subscription
        yield client


async def payloads(client: ClientConnection, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        frames = [json.loads(await client.recv()) for _ in range(count)]
    assert all(frame["type"] == "vehicles" for frame in frames)
    return [frame["payload"] for frame in frames]


def as_sent(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    return [json.loads(frame.payload()) for frame in frames]


async def test_the_echo_comes_first_and_then_all_frames_in_their_order(
    simulator: Simulator,
) -> None:
    async with subscribed(simulator.url, EVERYTHING) as client:
        assert await payloads(client, len(FRAMES)) == as_sent(FRAMES)


async def test_only_subscribed_vehicles_and_labels_are_sent(simulator: Simulator) -> None:
    async with subscribed(simulator.url, ONLY_A) as client:
        wanted = [frame for frame in FRAMES if (frame.vid, frame.label) == ("a", "odo")]
        assert await payloads(client, 50) == as_sent(wanted)


async def test_the_key_may_come_as_a_header(simulator: Simulator) -> None:
    async with connect(simulator.url, additional_headers={"x-api-key": "secret-2"}) as client:
        await client.send('{"vehicles":{}}')
        assert await client.recv() == '{"vehicles":{}}'


@pytest.mark.parametrize(
    ("suffix", "status"),
    [("", 401), ("?apiKey=wrong", 401), ("/other?apiKey=secret-1", 404), ("?resend=x", 400)],
)
async def test_who_has_no_key_or_asks_for_nonsense_gets_no_socket(
    simulator: Simulator, suffix: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(simulator.url + suffix)
    assert refused.value.response.status_code == status


async def test_a_message_that_is_no_subscription_is_answered_with_an_error_frame(
    simulator: Simulator,
) -> None:
    async with connect(f"{simulator.url}?apiKey=secret-1") as client:
        await client.send("hello")
        answer = json.loads(await client.recv())
        assert answer["type"] == "error"
        await client.send('{"vehicles":{}}')
        assert await client.recv() == '{"vehicles":{}}'


async def test_after_a_reconnect_a_key_goes_on_where_it_stood(recording: Recording) -> None:
    clock = FakeClock()
    simulator = Simulator(recording, keys=KEYS, manner=Manner(speed=1), clock=clock)
    seen: list[dict[str, Any]] = []
    async with simulator.serving():
        while len(seen) < len(FRAMES):
            async with subscribed(simulator.url, EVERYTHING) as client:
                # All that was written is read: the socket is not dead.
                seen += await payloads(client, min(120, len(FRAMES) - len(seen)))
                await client.close()
                seen += [json.loads(message)["payload"] async for message in client]
    assert seen == as_sent(FRAMES)


async def test_each_key_has_a_place_of_its_own(simulator: Simulator) -> None:
    async with subscribed(simulator.url, EVERYTHING, "secret-1") as one:
        await payloads(one, len(FRAMES))
        async with subscribed(simulator.url, EVERYTHING, "secret-2") as other:
            assert await payloads(other, len(FRAMES)) == as_sent(FRAMES)


@pytest.mark.parametrize(("resend", "repeated"), [("3", 3), ("all", len(FRAMES))])
async def test_a_client_can_ask_to_have_frames_sent_again(
    simulator: Simulator, resend: str, repeated: int
) -> None:
    async with subscribed(simulator.url, EVERYTHING) as client:
        await payloads(client, len(FRAMES))
    async with subscribed(simulator.url, EVERYTHING, query=f"&resend={resend}") as client:
        assert await payloads(client, repeated) == as_sent(FRAMES[-repeated:])


async def test_a_second_connection_of_a_key_takes_nothing_away_from_the_first(
    recording: Recording,
) -> None:
    turn = asyncio.Event()

    class Held(FakeClock):
        """Time that stands still at the recording's tenth second, until it is our turn."""

        async def sleep(self, seconds: float) -> None:
            if self.now >= 10:
                await turn.wait()
            await super().sleep(seconds)

    manner = Manner(speed=1)
    async with Simulator(recording, keys=KEYS, manner=manner, clock=Held()).serving() as simulator:
        async with subscribed(simulator.url, ONLY_A) as first:
            seen = await payloads(first, 11)
            async with subscribed(simulator.url, ONLY_A) as second:
                assert simulator.status()["keys"]["first"]["connections"] == 2
                turn.set()
                seen_by_second = await payloads(second, 3)
            seen += await payloads(first, 39)
        told = simulator.status()["keys"]["first"]
    assert [one["time"] for one in seen] == list(range(0, 50_000, 1_000))
    begun = seen_by_second[0]["time"]
    assert begun > 10_000
    assert [one["time"] - begun for one in seen_by_second] == [0, 1_000, 2_000]
    assert told["sent"] >= 53


async def test_at_the_end_the_socket_stays_open_and_the_status_says_finished(
    simulator: Simulator,
) -> None:
    async with subscribed(simulator.url, EVERYTHING) as client:
        await payloads(client, len(FRAMES))
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://127.0.0.1:{simulator.port}/status")
        await client.ping()
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "frames_total": 200,
        "shift_ms": 0,
        "keys": {
            "first": {
                "sent": 200,
                "connected": True,
                "connections": 1,
                "finished": True,
                "messages": 200,
                "injected": {},
                "revoked": False,
            },
            "second": {
                "sent": 0,
                "connected": False,
                "connections": 0,
                "finished": False,
                "messages": 0,
                "injected": {},
                "revoked": False,
            },
        },
    }
    assert "secret" not in answer.text


async def test_frames_are_paced_and_data_wait_for_the_authorisation(recording: Recording) -> None:
    clock = FakeClock()
    manner = Manner(speed=4, auth_delay=7)
    simulator = Simulator(recording, keys=KEYS, manner=manner, clock=clock)
    async with simulator.serving(), subscribed(simulator.url, ONLY_A) as client:
        await payloads(client, 50)
    assert clock.slept == [7, *[0.25] * 49]


async def test_a_replay_of_so_many_seconds_finishes_where_it_stands_then(
    recording: Recording,
) -> None:
    manner = Manner(speed=2, seconds=5)
    simulator = Simulator(recording, keys=KEYS, manner=manner, clock=FakeClock())
    async with simulator.serving():
        async with subscribed(simulator.url, ONLY_A) as client:
            sent = await payloads(client, 10)
            await client.ping()
        async with subscribed(simulator.url, ONLY_A, "secret-2"):
            pass
        assert [payload["time"] for payload in sent] == list(range(0, 10_000, 1_000))
        first = simulator.status()["keys"]["first"]
        assert (first["sent"], first["finished"]) == (10, True)


async def test_a_recording_can_be_ended_where_it_is(recording: Recording) -> None:
    class Limited(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.now >= 10:
                replaying.end_recording()

    replaying = Simulator(recording, keys=KEYS, manner=Manner(speed=1), clock=Limited())
    async with replaying.serving(), subscribed(replaying.url, ONLY_A) as client:
        sent = await payloads(client, 10)
        await client.ping()

        first = replaying.status()["keys"]["first"]

    assert [payload["time"] for payload in sent] == list(range(0, 10_000, 1_000))
    assert (first["sent"], first["finished"]) == (10, True)


async def test_who_comes_later_catches_up_with_the_common_timeline(recording: Recording) -> None:
    clock = FakeClock()
    manner = Manner(speed=1)
    async with Simulator(recording, keys=KEYS, manner=manner, clock=clock).serving() as simulator:
        async with subscribed(simulator.url, ONLY_A, "secret-1") as client:
            await payloads(client, 50)
        paced = len(clock.slept)
        async with subscribed(simulator.url, ONLY_A, "secret-2") as client:
            await payloads(client, 50)
    assert len(clock.slept) == paced


@pytest.mark.parametrize(("speed", "first"), [(1, 1_800_000_000_000), (4, 1_799_999_951_000)])
async def test_rebasing_moves_the_times_to_now(
    recording: Recording, speed: float, first: int
) -> None:
    manner = Manner(speed=speed, rebase=True)
    simulator = Simulator(recording, keys=KEYS, manner=manner, clock=FakeClock())
    async with simulator.serving(), subscribed(simulator.url, ONLY_A) as client:
        sent = await payloads(client, 2)
        assert [payload["time"] for payload in sent] == [first, first + 1_000]
        assert simulator.status()["shift_ms"] == first


async def test_nothing_is_sent_before_its_time_however_late_the_subscribed_vehicles_begin(
    tmp_path: Path,
) -> None:
    class Noon(FakeClock):
        def epoch_ms(self) -> int:
            return 1_800_000_000_000 + int(self.now * 1_000)

    clock = Noon()
    frames = [Frame("b", "odo", "1", 0), *(Frame("a", "odo", "1", at) for at in (90_000, 91_000))]
    write_recording(tmp_path / "day.jsonl", frames)
    recording = open_recording(tmp_path / "day.jsonl")
    manner = Manner(speed=1, rebase=True)
    simulator = Simulator(recording, keys=KEYS, manner=manner, clock=clock)
    async with simulator.serving(), subscribed(simulator.url, ONLY_A) as client:
        (first, second) = await payloads(client, 2)
        assert clock.slept == [90.0, 1.0]
        assert first["time"] == 1_800_000_090_000
        assert second["time"] <= clock.epoch_ms()


async def test_what_a_slow_reader_has_not_taken_is_not_read_from_the_recording(
    tmp_path: Path,
) -> None:
    # 40 MB: far more than the sockets' buffers hold.
    frames = [Frame("a", "odo", json.dumps("x" * 4_000), time) for time in range(10_000)]
    write_recording(tmp_path / "long.jsonl", frames)
    simulator = Simulator(open_recording(tmp_path / "long.jsonl"), keys=KEYS)
    async with simulator.serving(), subscribed(simulator.url, ONLY_A) as client:
        await payloads(client, 1)
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://127.0.0.1:{simulator.port}/status")
        assert answer.json()["keys"]["first"]["sent"] < len(frames)
        await payloads(client, len(frames) - 1)
        assert simulator.status()["keys"]["first"]["finished"]


async def test_it_listens_where_it_is_told_to(recording: Recording) -> None:
    async with Simulator(recording, keys=KEYS).serving(host="0.0.0.0") as simulator:  # noqa: S104 — as in a container
        place = simulator.url.removeprefix("ws://0.0.0.0:")
        async with subscribed(f"ws://127.0.0.1:{place}", ONLY_A) as client:
            assert await payloads(client, 1)


def test_an_address_of_another_machine_is_refused_with_the_reason(recording: Recording) -> None:
    ingress = "from ingress_runtime.cli import main; main()"
    arguments = ["simulator", "--replay", str(recording.path), "--host", "192.0.2.1"]
    done = subprocess.run(
        [sys.executable, "-c", ingress, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "port 0 of 192.0.2.1 cannot be had" in done.stderr
    assert "--host takes an address of this machine" in done.stderr


def test_the_command_prints_its_address_and_ends_on_sigterm(recording: Recording) -> None:
    ingress = "from ingress_runtime.cli import main; main(prog_name='ingress')"
    with subprocess.Popen(
        [sys.executable, "-c", ingress, "simulator", "--replay", str(recording.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        status = httpx.get(address.replace("ws:", "http:").replace("/api/v2/live", "/status"))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert status.json()["frames_total"] == 200
    assert process.returncode == 0, errors


def test_the_command_says_what_is_wrong_with_the_recording(tmp_path: Path) -> None:
    ingress = "from ingress_runtime.cli import main; main(prog_name='ingress')"
    (tmp_path / "bad.jsonl").write_text("nonsense\n")
    for name, complaint in [("none.jsonl", "no recording at"), ("bad.jsonl", "line 1")]:
        command = [sys.executable, "-c", ingress, "simulator", "--replay", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr
