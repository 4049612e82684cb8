import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingress_runtime import faults
from ingress_runtime.faults import MOMENTS, TRANSACTION_STEPS, FaultSettings, Point
from ingress_runtime.settings import SettingsError, load

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.arm(FaultSettings())


def problems(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(FaultSettings, environ=environ)
    return caught.value.message


def test_point_that_is_off_puts_nothing_in_the_way_of_a_message() -> None:
    work = list[int]().append

    assert faults.before(Point.FRAME_READ, work) is work


def test_point_of_another_process_puts_nothing_in_the_way_either() -> None:
    faults.arm(FaultSettings(faults="core.answer.ready:kill@1", faults_allowed="yes"))
    work = list[int]().append

    assert faults.before(Point.FRAME_READ, work) is work


def test_points_that_are_off_are_passed() -> None:
    for point in Point:
        faults.passed(point)


@pytest.mark.parametrize("way", ["passed(Point.ANSWER_READY)", "before(Point.ANSWER_READY, str)()"])
def test_process_kills_itself_at_the_passage_that_was_asked_for(way: str) -> None:
    program = (
        "from ingress_runtime import faults\n"
        "from ingress_runtime.faults import FaultSettings, Point\n"
        "faults.arm(FaultSettings(faults='core.answer.ready:kill@3', faults_allowed='yes'))\n"
        f"for passage in range(1, 9):\n    print(passage, flush=True)\n    faults.{way}\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert done.returncode == -signal.SIGKILL
    assert done.stdout.startswith(b"1\n2\n3\n")
    assert b"\n4\n" not in done.stdout


def test_process_dawdles_at_every_passage(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("ingress_runtime.faults.time.sleep", slept.append)
    faults.arm(FaultSettings(faults="core.answer.ready:delay@2.5", faults_allowed="yes"))

    for point in [Point.ANSWER_READY, Point.FRAME_READ, Point.ANSWER_READY]:
        faults.passed(point)

    assert slept == [2.5, 2.5]


def test_unknown_point_refuses_the_start_and_lists_the_known_ones() -> None:
    said = problems(INGRESS_FAULTS="publisher.journal:kill@1", INGRESS_FAULTS_ALLOWED="yes")

    assert "no fault point 'publisher.journal'" in said
    assert all(f"{point} ({moment})" in said for point, moment in MOMENTS.items())


@pytest.mark.parametrize(
    "action",
    [
        "",
        ":kill",
        ":kill@0",
        ":kill@x",
        ":kill@-1",
        ":stop@1",
        ":delay@0",
        ":delay@x",
        ":delay@1e9",
    ],
)
def test_what_is_no_fault_is_refused_with_an_example(action: str) -> None:
    said = problems(INGRESS_FAULTS=f"core.answer.ready{action}", INGRESS_FAULTS_ALLOWED="yes")

    assert "must read like core.answer.ready:kill@17" in said


def test_faults_need_a_second_setting() -> None:
    assert "INGRESS_FAULTS_ALLOWED=yes" in problems(INGRESS_FAULTS="core.answer.ready:kill@1")


def test_several_faults_are_separated_by_commas() -> None:
    (settings,) = load(
        FaultSettings,
        environ={
            "INGRESS_FAULTS": "core.answer.ready:kill@2, publisher.frame.read:kill@7",
            "INGRESS_FAULTS_ALLOWED": "yes",
        },
    )

    assert settings.faults is not None


def test_every_point_is_explained_and_every_step_of_the_handler_is_a_point() -> None:
    code = "".join(path.read_text() for path in (ROOT / "core_ingest").glob("*.py"))

    assert set(MOMENTS) == set(Point)
    assert set(re.findall(r'_step\("(\w+)"\)', code)) == set(TRANSACTION_STEPS)
