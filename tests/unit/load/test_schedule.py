from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingress_testbed.load.schedule import Due, Plan, schedule, total

plans = st.builds(
    Plan,
    vehicles=st.integers(1, 40),
    interval=st.floats(0.01, 5),
    duration=st.floats(0.1, 10),
    seed=st.integers(0, 9),
).filter(lambda plan: plan.vehicles * plan.duration / plan.interval < 5_000)

TICK = 1e-6


def by_vehicle(plan: Plan) -> dict[int, list[Due]]:
    found = defaultdict(list)
    for due in schedule(plan):
        found[due.vehicle].append(due)
    return found


@given(plans)
def test_every_vehicle_reports_at_its_interval(plan: Plan) -> None:
    for reports in by_vehicle(plan).values():
        assert [due.number for due in reports] == list(range(len(reports)))
        for earlier, later in pairwise(reports):
            assert earlier.at < later.at  # a vehicle never says two things at once
        first = reports[0].at
        for due in reports:
            drift = due.at - first - due.number * plan.interval
            assert abs(drift) <= 0.2 * plan.interval + (due.number + 2) * TICK


@given(plans)
def test_no_vehicle_is_silent_for_longer_than_its_interval_with_jitter(plan: Plan) -> None:
    found = by_vehicle(plan)
    most = 1.2 * plan.interval + 3 * TICK
    for vehicle in range(plan.vehicles):
        times = [due.at for due in found.get(vehicle, [])]
        if plan.duration > plan.interval + TICK:
            assert times
            assert times[0] <= 1.1 * plan.interval + TICK
            assert plan.duration - times[-1] <= most


@given(plans)
def test_reports_come_in_the_order_of_their_time_and_within_the_duration(plan: Plan) -> None:
    times = [due.at for due in schedule(plan)]

    assert times == sorted(times)
    assert all(0 <= at < plan.duration + TICK for at in times)


@given(plans)
def test_total_is_the_number_of_reports(plan: Plan) -> None:
    assert total(plan) == sum(1 for _ in schedule(plan))


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 9))
def test_whole_intervals_give_each_vehicle_as_many_reports(
    vehicles: int, intervals: int, seed: int
) -> None:
    plan = Plan(vehicles, 0.5, 0.5 * intervals, seed)

    assert total(plan) == vehicles * intervals == plan.rate * plan.duration
    assert {len(reports) for reports in by_vehicle(plan).values()} == {intervals}


def test_equal_seeds_give_equal_schedules_and_others_other_ones() -> None:
    assert list(schedule(Plan(20, 1, 5, 3))) == list(schedule(Plan(20, 1, 5, 3)))
    assert list(schedule(Plan(20, 1, 5, 4))) != list(schedule(Plan(20, 1, 5, 3)))


def test_vehicles_do_not_report_all_at_once() -> None:
    firsts = [reports[0].at for reports in by_vehicle(Plan(1_000, 1, 1)).values()]

    for tenth in range(10):
        assert 50 < sum(tenth / 10 <= at < (tenth + 1) / 10 for at in firsts) < 150
