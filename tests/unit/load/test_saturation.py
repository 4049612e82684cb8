from dataclasses import dataclass

import pytest

from ingress_testbed.load.saturation import Bounds, Saturation, overload, saturation

BOUNDS = Bounds(share=0.95, p99=1.0)


@dataclass(frozen=True)
class Step:
    intended_rate: float
    achieved_rate: float
    p99: float = 0.1


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step(1_000, 1_000), None),
        (Step(1_000, 950), None),
        (Step(1_000, 949), "achieved 949 of 1,000 messages/s (95%, below 95%)"),
        (Step(1_000, 500), "achieved 500 of 1,000 messages/s (50%, below 95%)"),
        (Step(1_000, 1_000, 1.0), None),
        (Step(1_000, 1_000, 1.5), "p99 latency 1.5 s, above 1 s"),
        (Step(1_000, 0, 9.0), "achieved 0 of 1,000 messages/s (0%, below 95%)"),
        (Step(0, 0), None),
    ],
)
def test_step_keeps_up_while_rate_and_latency_are_within_the_bounds(
    step: Step, reason: str | None
) -> None:
    assert overload(step, BOUNDS) == reason


def test_saturation_is_the_first_step_that_does_not_keep_up() -> None:
    steps = [Step(100, 100), Step(200, 199), Step(300, 210), Step(400, 200)]

    assert saturation(steps, BOUNDS) == Saturation(
        2, 300, "achieved 210 of 300 messages/s (70%, below 95%)", sustained=200
    )


def test_first_step_may_be_too_much_already() -> None:
    found = saturation([Step(100, 10)], BOUNDS)

    assert found is not None
    assert found.sustained is None


def test_nothing_is_saturated_while_every_step_keeps_up() -> None:
    assert saturation([Step(100, 100), Step(200, 200)], BOUNDS) is None
    assert saturation([], BOUNDS) is None
