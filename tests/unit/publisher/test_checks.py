import pytest

from telematics_publisher.checks.core import ahead


@pytest.mark.parametrize(
    ("before", "after", "date", "expected"),
    [
        (100.0, 100.1, 100.0, 0.0),
        (100.9, 101.2, 100.0, 0.0),  # Date has whole seconds: within its second, all is well
        (99.5, 100.2, 100.0, 0.0),
        (107.0, 107.1, 100.0, 6.0),
        (93.0, 93.5, 100.0, -6.5),
    ],
)
def test_a_date_in_whole_seconds_tells_how_far_a_clock_is_off_at_least(
    before: float, after: float, date: float, expected: float
) -> None:
    assert ahead(before, after, date) == pytest.approx(expected)
