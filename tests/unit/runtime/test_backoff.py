import pytest

from ingress_runtime.backoff import Backoff


@pytest.mark.parametrize(
    ("attempt", "reach"), [(0, 1.0), (1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (5_000, 60.0)]
)
def test_delay_is_anywhere_up_to_a_doubling_reach_with_a_ceiling(
    attempt: int, reach: float
) -> None:
    backoff = Backoff(base=1.0, ceiling=60.0)
    assert backoff.delay(attempt, lambda: 0.0) == 0.0
    assert backoff.delay(attempt, lambda: 0.5) == reach / 2
    assert backoff.delay(attempt, lambda: 1.0) == reach


def test_delay_never_falls_below_the_floor() -> None:
    backoff = Backoff(base=10.0, ceiling=600.0, floor=30.0)
    assert backoff.delay(0, lambda: 0.99) == 30.0
    assert backoff.delay(9, lambda: 0.0) == 30.0
    assert backoff.delay(9, lambda: 0.5) == 315.0
