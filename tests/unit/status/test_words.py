import math

import pytest

from ingress_runtime.status.section import Bytes, Unit, Value
from ingress_runtime.status.words import shown


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, Unit.RATE, "-"),
        (math.nan, Unit.SECONDS, "-"),
        ("open", Unit.NUMBER, "open"),
        (0.0, Unit.RATE, "0/s"),
        (0.001, Unit.RATE, "<0.01/s"),
        (0.034, Unit.RATE, "0.03/s"),
        (2.0, Unit.RATE, "2/s"),
        (9.97, Unit.RATE, "10/s"),
        (1_234.5, Unit.RATE, "1,234/s"),
        (0.0, Unit.SECONDS, "0 s"),
        (0.0032, Unit.SECONDS, "3.2 ms"),
        (0.42, Unit.SECONDS, "420 ms"),
        (0.9996, Unit.SECONDS, "1 s"),
        (1.54, Unit.SECONDS, "1.5 s"),
        (59.96, Unit.SECONDS, "1 min"),
        (200.0, Unit.SECONDS, "3 min 20 s"),
        (7_500.0, Unit.SECONDS, "2 h 5 min"),
        (273_600.0, Unit.SECONDS, "3 d 4 h"),
        (-0.2, Unit.SECONDS, "-200 ms"),
        (512.0, Unit.BYTES, "512 B"),
        (1.5 * 2**20, Unit.BYTES, "1.5 MiB"),
        (4 * 2**30, Unit.BYTES, "4.0 GiB"),
        (Bytes(2_048), Unit.NUMBER, "2 KiB"),
        (0.123, Unit.SHARE, "12 %"),
        (1_234_567.0, Unit.NUMBER, "1,234,567"),
    ],
)
def test_numbers_read_with_the_digits_that_matter(value: Value, unit: Unit, text: str) -> None:
    assert shown(value, unit) == text
