import pytest

from ingress_testbed.observability.values import written


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (0.0, "s", "0 ms"),
        (2.5, "s", "2.5 s"),
        (90, "s", "1.5 min"),
        (7_200, "s", "2 h"),
        (172_800, "s", "2 d"),
        (0.25, "percentunit", "25 %"),
        (1_536, "bytes", "1.5 KiB"),
        (2_048, "Bps", "2 KiB/s"),
        (1_234, "short", "1.23 K"),
        (12, "recps", "12/s"),
        (float("nan"), "s", "-"),
        (float("inf"), "bytes", "∞"),
    ],
)
def test_values_are_written_short_with_their_unit(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text
