from datetime import UTC, datetime, timedelta

import pytest

from ingress_testbed.demo.comparison import Key, mismatches
from ingress_testbed.truth import Latest, Position

AT = datetime(2026, 1, 1, tzinfo=UTC)
TRUE: dict[Key, Latest] = {
    ("bus-1", "Vehicle.Speed"): Latest(31.5, AT),
    ("bus-1", "Vehicle.CurrentLocation"): Latest(Position(52.1, 5.1), AT),
}


def test_equal_snapshots_match() -> None:
    assert list(mismatches(dict(TRUE), TRUE)) == []


@pytest.mark.parametrize(
    "served",
    [
        {},
        {("bus-1", "Vehicle.Speed"): Latest(31.5, AT + timedelta(milliseconds=1))},
        {("bus-1", "Vehicle.Speed"): Latest(31.6, AT)},
        {("bus-1", "Vehicle.Speed"): Latest(31.5, AT), ("bus-2", "Vehicle.Speed"): Latest(1.0, AT)},
    ],
    ids=["missing", "another instant", "another value", "too many"],
)
def test_each_difference_counts_once(served: dict[Key, Latest]) -> None:
    true = {("bus-1", "Vehicle.Speed"): TRUE["bus-1", "Vehicle.Speed"]}

    assert len(list(mismatches(served, true))) == 1
