from collections import Counter

from ingress_runtime.faults import Point
from ingress_testbed.faults.deaths import AtMoment, AtPoint, deaths


def test_equal_seeds_give_equal_deaths() -> None:
    assert deaths(1, rounds=2, moments=2) == deaths(1, rounds=2, moments=2)
    assert deaths(1, rounds=2, moments=2) != deaths(2, rounds=2, moments=2)


def test_every_point_is_died_at_as_often_as_there_are_rounds() -> None:
    drawn = deaths(1, rounds=3, moments=2)

    ends = [death for name in drawn for death in drawn[name]]
    points = Counter(death.point for death in ends if isinstance(death, AtPoint))
    assert points == dict.fromkeys(Point, 3)
    assert sum(isinstance(death, AtMoment) for death in ends) == 2 * len(drawn)


def test_a_process_dies_at_points_of_its_own() -> None:
    for name, ends in deaths(1, rounds=1, moments=0).items():
        prefix = "core." if name == "api" else "publisher."
        assert all(death.point.startswith(prefix) for death in ends if isinstance(death, AtPoint))
