from collections import Counter

import pytest

from ingress_runtime.faults import Point
from ingress_testbed.faults.deaths import POINTS, AtMoment, AtPoint, deaths
from ingress_testbed.faults.design import API, CONSUMER, PUBLISHER


def test_equal_seeds_give_equal_deaths() -> None:
    assert deaths(1, rounds=2, moments=2) == deaths(1, rounds=2, moments=2)
    assert deaths(1, rounds=2, moments=2) != deaths(2, rounds=2, moments=2)


def test_no_point_is_forgotten() -> None:
    assert {point for points in POINTS.values() for point in points} == set(Point)


@pytest.mark.parametrize("core", [API, CONSUMER])
def test_each_dies_at_its_own_points_as_often_as_there_are_rounds(core: str) -> None:
    drawn = deaths(1, rounds=3, moments=2, core=core)

    assert drawn.keys() == {core, PUBLISHER}
    for name, ends in drawn.items():
        points = Counter(death.point for death in ends if isinstance(death, AtPoint))
        assert points == dict.fromkeys(POINTS[name], 3)
        assert sum(isinstance(death, AtMoment) for death in ends) == 2
