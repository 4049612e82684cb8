"""The whole system as somebody meets it: real processes, started by one command."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ingress_testbed.demo.run import Plan, running
from ingress_testbed.demo.screen import Screen
from ingress_testbed.recordings import open_recording
from ingress_testbed.simulator.timeline import MAX_SPEED

_INGRESS = [sys.executable, "-c", "from ingress_runtime.cli import main; main()"]
_SECONDS = 280
_TERMS = (
    "accepted",
    "unchanged",
    "stale",
    "duplicate",
    "conflict",
    "empty",
    "quarantined",
    "dead_lettered",
    "dropped",
    "in_flight",
    "unaccounted",
)
_BATTERY = "Vehicle.Powertrain.TractionBattery"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """A directory that other users can pass through, as Postgres must when we are root."""
    with tempfile.TemporaryDirectory(prefix="ingress-tests-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def demo(*arguments: str) -> dict[str, Any]:
    """Run `ingress demo --transport http --json` to its end and return its report."""
    done = subprocess.run(
        [*_INGRESS, "demo", "--transport", "http", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert report["received"] == sum(report[term] for term in _TERMS)
    assert report["unaccounted"] == 0
    assert report["in_flight"] == 0
    assert report["snapshot_mismatches"] == 0
    return report


def test_seeded_fleet_is_stored_whole_and_accounted_for() -> None:
    report = demo("--vehicles", "5", "--speed", "max")

    assert report["received"] == report["facts_stored"] > 5_000
    assert report["duplicate"] == 0
    assert report["peak_rss_bytes"].keys() >= {"api", "publisher-1", "simulator"}


@pytest.mark.trials
def test_second_subscriber_brings_nothing_but_duplicates() -> None:
    report = demo("--vehicles", "5", "--speed", "max", "--subscribers", "2")

    assert report["received"] == 2 * report["facts_stored"]
    assert report["duplicate"] == report["facts_stored"]


def test_replay_that_is_cut_short_settles_what_was_sent() -> None:
    report = demo("--vehicles", "5", "--speed", "60", "--seconds", "2", "--subscribers", "2")

    assert 0 < report["facts_stored"] <= report["received"]


def test_demo_on_a_terminal_stays_up_with_commands_that_work_until_ctrl_c(
    shared_directory: Path,
) -> None:
    with terminal(
        shared_directory, "demo", "--transport", "http", "--vehicles", "2", "--speed", "max"
    ) as (
        process,
        screen,
    ):
        text = read_until(screen, "Ctrl-C ends it.")
        commands = re.findall(r"curl -s -H 'Authorization: Bearer (\S+)' '(http\S+)'", text)
        answers = [
            httpx.get(url, headers={"authorization": f"Bearer {key}"}).json()
            for key, url in commands
        ]
        os.write(screen, b"\x03")
        read_until(screen, None)
        code = process.wait(_SECONDS)

    vehicles, vehicle, history, accounting = answers
    assert code == 0
    assert len(vehicles["vehicles"]) == 2
    assert vehicle == vehicles["vehicles"][0]
    assert history["readings"]
    assert accounting["unaccounted"] == 0
    assert "one frame, hop by hop" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_however_the_demo_ends(
    number: signal.Signals, shared_directory: Path
) -> None:
    with terminal(shared_directory, "demo", "--transport", "http", "--vehicles", "2") as (
        process,
        screen,
    ):
        read_until(screen, "look for yourself")
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        read_until(screen, None)
        process.wait(_SECONDS)
        _, alive = psutil.wait_procs(children, timeout=_SECONDS)

    assert len(children) > 8  # Postgres, simulator, core, publisher, and a guardian of each
    assert alive == []
    if number != signal.SIGKILL:
        assert list(shared_directory.iterdir()) == []


def test_picture_of_the_view_can_be_written(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"

    demo("--vehicles", "2", "--seconds", "3", "--export-svg", str(picture))

    text = picture.read_text().replace("&#160;", " ")
    assert text.startswith("<svg")
    assert "unaccounted" in text
    assert "one frame, hop by hop" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--replay", "missing.jsonl"), "no recording"),
        (("--speed", "fast"), "positive number or max"),
        (("--replay", "missing.jsonl", "--vehicles", "3"), "leave --vehicles away"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(
    arguments: tuple[str, ...], said: str
) -> None:
    done = subprocess.run(
        [*_INGRESS, "demo", *arguments], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.recordings
@pytest.mark.anyio
async def test_bus_day_is_stored_whole_and_its_last_values_are_served(
    recordings: Path, postgres_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        recording=open_recording(recordings / "viriciti-bus-day.jsonl.gz"),
        speed=MAX_SPEED,
        rebase=False,
        seconds=None,
        subscribers=1,
    )

    async with running(plan, tmp_path, postgres_url, Screen(to_stderr=True)) as run:
        verdict = await run.processes.guard(run.to_the_end({}))
        served = await run.core.snapshot()

    assert verdict.differences == ()
    assert verdict.report.received == 162_481
    assert verdict.report.facts_stored == 162_481
    assert verdict.report.unaccounted == 0
    assert verdict.report.snapshot_mismatches == 0
    assert {signal: (latest.value, latest.observed) for (_, signal), latest in served.items()} == {
        "Vehicle.TraveledDistance": (80766.81, instant(1548457215319)),
        "Vehicle.Speed": (4.39844, instant(1548457200097)),
        f"{_BATTERY}.CurrentCurrent": (22.7, instant(1548457200010)),
        f"{_BATTERY}.CurrentVoltage": (591.6, instant(1548457200310)),
    }


@pytest.mark.recordings
def test_bus_day_of_two_subscribers_is_stored_once(recordings: Path) -> None:
    day = recordings / "viriciti-bus-day.jsonl.gz"

    report = demo("--replay", str(day), "--speed", "max", "--subscribers", "2")

    assert report["received"] == 324_962
    assert report["facts_stored"] == 162_481
    assert report["duplicate"] == 162_481


@pytest.mark.recordings
def test_route_is_stored_whole(recordings: Path) -> None:
    report = demo("--replay", str(recordings / "viriciti-route.csv"), "--speed", "max")

    assert report["received"] == 4_984
    assert report["facts_stored"] == 4_984


def instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


@contextmanager
def terminal(directory: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `ingress` on a terminal of 40 lines and 80 columns; kill it if the test leaves it.

    Its temporary files are in `directory`.
    """
    screen, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);" + _INGRESS[-1],
            *arguments,
        ],
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "TMPDIR": str(directory)},
    )
    os.close(end)
    try:
        yield process, screen
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def read_until(screen: int, words: str | None) -> str:
    """Return what a terminal shows until it shows `words`; None: until its end."""
    text = ""
    while words is None or words not in text:
        try:
            part = os.read(screen, 65_536)
        except OSError:  # Linux: nobody has the other end any more
            part = b""
        if not part:
            assert words is None, f"{words!r} never came:\n{text}"
            return text
        text += part.decode(errors="replace")
    return text
