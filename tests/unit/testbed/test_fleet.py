from collections import Counter, defaultdict
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from click.testing import CliRunner

from ingress_testbed.commands import fleet
from ingress_testbed.fleet import START, FleetPlan, fleet_frames
from ingress_testbed.recordings import Frame, open_recording

FOUR_LABELS = {"odo", "speed", "current", "voltage"}


@pytest.fixture(scope="module")
def day() -> list[Frame]:
    return list(fleet_frames(FleetPlan(vehicles=1, hours=24, seed=3)))


@pytest.fixture(scope="module")
def by_label(day: list[Frame]) -> dict[str, list[Frame]]:
    labels = defaultdict(list)
    for frame in day:
        labels[frame.label].append(frame)
    return labels


def test_equal_plans_give_equal_frames_and_another_seed_others() -> None:
    plan = FleetPlan(vehicles=2, hours=0.1, seed=5)
    assert list(fleet_frames(plan)) == list(fleet_frames(plan))
    assert list(fleet_frames(FleetPlan(2, 0.1, 6))) != list(fleet_frames(plan))


def test_a_plan_gives_these_very_bytes_on_every_machine() -> None:
    digest = sha256()
    for frame in fleet_frames(FleetPlan(vehicles=3, hours=1, seed=7)):
        digest.update(frame.payload().encode() + b"\n")
    assert digest.hexdigest() == "b203a5c4aa16808332743ea66ad60c8932feaaff140d80f3c68bd3fe253704b5"


def test_a_larger_fleet_holds_the_frames_of_the_smaller_one() -> None:
    small, large = (list(fleet_frames(FleetPlan(n, 0.1, 5))) for n in (1, 3))
    assert [frame for frame in large if frame.vid == "bus-0001"] == small


def test_frames_come_in_time_order_and_no_two_of_a_vehicle_share_time_and_label() -> None:
    frames = list(fleet_frames(FleetPlan(vehicles=5, hours=1, seed=2)))
    assert all(earlier.time <= later.time for earlier, later in pairwise(frames))
    assert len({(frame.vid, frame.label, frame.time) for frame in frames}) == len(frames)
    assert all(START <= frame.time < START + 3_600_000 + 1_000 for frame in frames)


def test_a_driving_bus_is_as_chatty_as_the_recorded_one(day: list[Frame]) -> None:
    minutes = Counter(frame.time // 60_000 for frame in day if frame.label in FOUR_LABELS)
    assert 150 <= median(minutes.values()) <= 185
    all_labels = Counter(frame.time // 60_000 for frame in day)
    assert 3 <= median(all_labels.values()) / 60 <= 5


def test_three_to_nine_percent_of_consecutive_values_are_unchanged(
    by_label: dict[str, list[Frame]],
) -> None:
    pairs = [pair for frames in by_label.values() for pair in pairwise(frames)]
    unchanged = sum(earlier.value == later.value for earlier, later in pairs)
    assert 0.03 <= unchanged / len(pairs) <= 0.09


def test_a_parked_bus_is_silent_for_hours(day: list[Frame]) -> None:
    longest = max(later.time - earlier.time for earlier, later in pairwise(day))
    assert 1 <= longest / 3_600_000 <= 9.2


def test_on_waking_the_voltage_reads_resting_then_zero_then_under_load(
    by_label: dict[str, list[Frame]],
) -> None:
    values = [frame.value for frame in by_label["voltage"]]
    wakings = [place for place, value in enumerate(values) if value == "0"]
    assert len(wakings) > 5
    assert all(values[at - 1 : at + 2] == ["664.8", "0", "661.2"] for at in wakings)


def test_the_odometer_rises_and_every_label_has_values_of_its_kind(
    by_label: dict[str, list[Frame]],
) -> None:
    odometer = [float(frame.value) for frame in by_label["odo"]]
    assert odometer == sorted(odometer)
    assert all(0 <= float(frame.value) <= 100 for frame in by_label["soc"])
    assert all(frame.value.startswith('"52.') for frame in by_label["gps"])
    assert min(float(frame.value) for frame in by_label["power"]) < -1


def test_the_command_writes_the_same_bytes_again_and_says_how_many(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    options = ["--vehicles", "2", "--hours", "0.1", "--seed", "9"]
    for path in (first, second):
        result = CliRunner().invoke(fleet, ["record", str(path), *options])
        assert result.exit_code == 0, result.output
    frames = open_recording(first).extent().frames
    assert f"{frames:,} frames of 2 vehicles over 0.1 hours" in result.output
    assert first.read_bytes() == second.read_bytes()
