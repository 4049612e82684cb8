"""What the frames of a made-up fleet must obey, read from the frames alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import hypot
from statistics import mean, quantiles

import pytest

from ingress_testbed.fleet import FleetPlan, fleet_frames
from ingress_testbed.fleet_model.places import DEPOTS
from ingress_testbed.recordings import Frame

_METRES_A_DEGREE = (111_320.0, 68_500.0)
_LONGEST_SAMPLING = 60_000
_CHARGING_KW = -1.0


@dataclass
class Phase:
    """One drive, or one stay at a charger: its frames by label, as (ms, number)."""

    charging: bool
    series: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    places: list[tuple[float, float]] = field(default_factory=list)

    def change(self, label: str) -> float:
        return self.series[label][-1][1] - self.series[label][0][1]

    def integral(self, label: str) -> float:
        """Return the integral over hours, of which each sample stands for the time before it."""
        return sum(
            later[1] * (later[0] - earlier[0]) / 3_600_000
            for earlier, later in pairwise(self.series[label])
        )

    def driven(self) -> float:
        """Return the kilometres that the speeds make; one that is not sent again still holds."""
        return sum(
            (earlier[1] if later[0] - earlier[0] > 3_000 else (earlier[1] + later[1]) / 2)
            * (later[0] - earlier[0])
            / 3_600_000
            for earlier, later in pairwise(self.series["speed"])
        )


@pytest.fixture(scope="module")
def days() -> Mapping[str, list[Frame]]:
    by_vehicle = defaultdict(list)
    for frame in fleet_frames(FleetPlan(vehicles=2, hours=24, seed=11)):
        by_vehicle[frame.vid].append(frame)
    return by_vehicle


@pytest.fixture(scope="module")
def phases(days: Mapping[str, list[Frame]]) -> Mapping[str, list[Phase]]:
    return {vid: [*_phases(frames)] for vid, frames in days.items()}


@pytest.fixture(scope="module")
def drives(phases: Mapping[str, list[Phase]]) -> list[Phase]:
    return [one for found in phases.values() for one in found if _long(one) and not one.charging]


@pytest.fixture(scope="module")
def stays(phases: Mapping[str, list[Phase]]) -> list[Phase]:
    return [one for found in phases.values() for one in found if _long(one) and one.charging]


def _phases(frames: list[Frame]) -> Iterator[Phase]:
    """Divide a day where the bus wakes, and where it begins or ends to charge."""
    phase, last, moved = Phase(charging=False), frames[0].time, False
    place = (0.0, 0.0)
    for frame in frames:
        if frame.label == "gps":
            latitude, _, longitude = frame.value.strip('"').partition("|")
            place = float(latitude), float(longitude)
        number = 0.0 if frame.label == "gps" else float(frame.value)
        if frame.label == "speed":
            moved = number > 0
        charging = frame.label == "power" and number < _CHARGING_KW and not moved
        woken = frame.time - last > _LONGEST_SAMPLING or frame.value == "664.8"
        if woken or (charging and not phase.charging):
            yield phase
            phase = Phase(charging)
        last = frame.time
        phase.series[frame.label].append((frame.time, number))
        phase.places.append(place)
    yield phase


def _long(phase: Phase) -> bool:
    power = phase.series["power"]
    return len(power) > 100 and power[-1][0] - power[0][0] > 300_000


def _metres_to_a_depot(place: tuple[float, float]) -> float:
    return min(
        hypot(
            (place[0] - depot.place.latitude) * _METRES_A_DEGREE[0],
            (place[1] - depot.place.longitude) * _METRES_A_DEGREE[1],
        )
        for depot in DEPOTS
    )


def test_there_are_drives_and_stays_to_judge_by(drives: list[Phase], stays: list[Phase]) -> None:
    assert len(drives) > 20
    assert len(stays) > 4


def test_the_energy_counter_integrates_the_power_of_a_drive(drives: list[Phase]) -> None:
    for drive in drives:
        assert drive.change("energy") == pytest.approx(drive.integral("power"), rel=0.1)
    consumed = sum(drive.change("energy") for drive in drives)
    assert consumed == pytest.approx(sum(drive.integral("power") for drive in drives), rel=0.02)


def test_the_odometer_integrates_the_speed(drives: list[Phase]) -> None:
    for drive in drives:
        assert drive.change("odo") == pytest.approx(drive.driven(), rel=0.03)
    distance = sum(drive.change("odo") for drive in drives)
    assert distance == pytest.approx(sum(drive.driven() for drive in drives), rel=0.01)


def test_the_positions_are_as_far_apart_as_the_odometer_says(drives: list[Phase]) -> None:
    for drive in drives:
        metres = sum(
            hypot(
                (there[0] - here[0]) * _METRES_A_DEGREE[0],
                (there[1] - here[1]) * _METRES_A_DEGREE[1],
            )
            for here, there in pairwise(drive.places)
            if here != (0.0, 0.0)
        )
        assert metres / 1_000 == pytest.approx(drive.change("odo"), rel=0.05)


def test_the_state_of_charge_follows_the_energy_by_one_capacity_of_each_battery(
    phases: Mapping[str, list[Phase]],
) -> None:
    for found in phases.values():
        used = [one for one in found if _long(one) and abs(one.change("soc")) > 5]
        capacities = [-100 * one.integral("power") / one.change("soc") for one in used]
        assert len(capacities) > 3
        assert 180 <= mean(capacities) <= 260
        assert all(one == pytest.approx(mean(capacities), rel=0.06) for one in capacities)


def test_the_state_of_charge_falls_on_drives_rises_at_chargers_and_never_runs_out(
    days: Mapping[str, list[Frame]], drives: list[Phase], stays: list[Phase]
) -> None:
    assert all(drive.change("soc") < 0 for drive in drives)
    assert all(stay.change("soc") > 0 for stay in stays)
    for frames in days.values():
        soc = [float(frame.value) for frame in frames if frame.label == "soc"]
        assert 5 < min(soc) < max(soc) - 30
        assert 85 < max(soc) < 99


def test_current_times_voltage_makes_the_power_with_the_signs_of_the_recordings(
    days: Mapping[str, list[Frame]],
) -> None:
    at_once: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for vid, frames in days.items():
        for frame in frames:
            if frame.label in {"current", "voltage", "power"}:
                at_once[vid, frame.time][frame.label] = float(frame.value)
    errors = [
        abs(one["current"] * one["voltage"] / 1_000 + one["power"])
        for one in at_once.values()
        if len(one) == 3
    ]
    assert len(errors) > 10_000
    # What is left are repeated values, which are older than the others.
    assert quantiles(errors, n=100)[74] < 0.1


def test_the_battery_is_charged_only_in_depots_and_standing(
    days: Mapping[str, list[Frame]], stays: list[Phase]
) -> None:
    for frames in days.values():
        speed, place, charged = 0.0, (0.0, 0.0), 0
        for frame in frames:
            if frame.label == "speed":
                speed = float(frame.value)
            elif frame.label == "gps":
                latitude, _, longitude = frame.value.strip('"').partition("|")
                place = float(latitude), float(longitude)
            elif frame.label == "power" and speed == 0 and float(frame.value) < _CHARGING_KW:
                charged += 1
                assert _metres_to_a_depot(place) < 30, frame
            elif frame.label == "current" and float(frame.value) > 0 and speed == 0:
                assert _metres_to_a_depot(place) < 30, frame
        assert charged > 100
    assert all(power < _CHARGING_KW for stay in stays for _, power in stay.series["power"])
    assert all(stay.change("odo") == 0 for stay in stays if stay.series["odo"])


def test_braking_gives_energy_back_while_the_bus_moves(drives: list[Phase]) -> None:
    regained = [power for drive in drives for _, power in drive.series["power"] if power < -20]
    assert len(regained) > 100


def test_consumption_and_speeds_are_those_of_a_city_bus(drives: list[Phase]) -> None:
    consumed = sum(drive.change("energy") for drive in drives)
    distance = sum(drive.change("odo") for drive in drives)
    assert 0.8 <= consumed / distance <= 2.0
    assert max(speed for drive in drives for _, speed in drive.series["speed"]) < 82
    currents = [amperes for drive in drives for _, amperes in drive.series["current"]]
    assert min(currents) > -450
    voltages = [volts for drive in drives for _, volts in drive.series["voltage"] if volts]
    assert 540 < min(voltages) < max(voltages) < 690
