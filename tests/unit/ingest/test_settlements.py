from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_ingest.door import Door
from core_ingest.ledger.numbers import BLOCK
from core_ingest.ledger.settlements import DELAY_BOUNDS, DROPPED, Settlement, Settlements

NOW = 1_700_000_000_000_000
EARLY, LATE = UUID(int=1), UUID(int=2)


def settled(row: Settlement) -> list[int]:
    bits = int.from_bytes(row.numbers, "little")
    return [row.first + bit for bit in range(bits.bit_length()) if bits >> bit & 1]


def test_numbers_of_one_account_and_outcome_are_one_row() -> None:
    settlements = Settlements(NOW)
    for number in (12, 10, 11, 30):
        settlements.settle(1, "edge-1", EARLY, Door.HTTP, "accepted", number, NOW)

    (row,) = settlements.rows()

    assert (row.workspace, row.publisher, row.epoch) == (1, "edge-1", EARLY)
    assert (row.door, row.outcome, row.first) == (Door.HTTP, "accepted", 10)
    assert settled(row) == [10, 11, 12, 30]


def test_what_differs_in_account_door_or_outcome_is_kept_apart_and_sorted() -> None:
    settlements = Settlements(NOW)
    accounts = [
        (2, "edge-1", EARLY, Door.HTTP, "accepted"),
        (1, "edge-2", EARLY, Door.HTTP, "accepted"),
        (1, "edge-1", LATE, Door.HTTP, "accepted"),
        (1, "edge-1", EARLY, Door.KAFKA, "accepted"),
        (1, "edge-1", EARLY, Door.HTTP, "duplicate"),
        (1, "edge-1", EARLY, Door.HTTP, "accepted"),
    ]
    for account in accounts:
        settlements.settle(*account, 7, NOW)

    rows = settlements.rows()

    keys = [(row.workspace, row.publisher, row.epoch, row.door, row.outcome) for row in rows]
    assert keys == sorted(accounts)


def test_numbers_far_apart_are_rows_of_their_own_and_delays_stand_in_the_first() -> None:
    settlements = Settlements(NOW)
    for number in (0, 1_000_000, 2**63 - 1):
        settlements.settle(1, "edge-1", EARLY, Door.HTTP, "accepted", number, NOW)

    rows = settlements.rows()

    assert [row.first for row in rows] == [0, 1_000_000, 2**63 - 1]
    assert [sum(row.delays) for row in rows] == [3, 0, 0]


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-200.0, 0), (0.0, 0), (0.1, 0), (0.100001, 1), (1.0, 3), (1_800.0, 10), (1_800.000001, 11)],
)
def test_delay_falls_into_the_bucket_whose_bound_it_does_not_exceed(
    seconds: float, bucket: int
) -> None:
    settlements = Settlements(NOW)
    received = NOW - round(seconds * 1_000_000)
    settlements.settle(1, "edge-1", EARLY, Door.HTTP, "accepted", 7, received)

    (row,) = settlements.rows()

    assert len(row.delays) == len(DELAY_BOUNDS) + 1
    assert [index for index, count in enumerate(row.delays) if count] == [bucket]


def test_dropped_ranges_settle_every_number_without_a_delay() -> None:
    settlements = Settlements(NOW)
    settlements.drop(1, "edge-1", EARLY, Door.HTTP, [(5, 5), (10, 10 + BLOCK)])

    rows = settlements.rows()

    assert {row.outcome for row in rows} == {DROPPED}
    assert [(row.first, row.last) for row in rows] == [(5, 5), (10, 10 + BLOCK)]
    assert all(sum(row.delays) == 0 for row in rows)


def test_nothing_dropped_is_no_row() -> None:
    settlements = Settlements(NOW)
    settlements.drop(1, "edge-1", EARLY, Door.HTTP, [])

    assert settlements.rows() == []


@given(
    st.lists(
        st.tuples(st.sampled_from([Door.HTTP, Door.KAFKA]), st.integers(0, 20_000)), max_size=80
    )
)
def test_rows_hold_each_number_once_and_each_delay(history: list[tuple[Door, int]]) -> None:
    settlements = Settlements(NOW)
    for door, number in history:
        settlements.settle(1, "edge-1", EARLY, door, "accepted", number, NOW)

    rows = settlements.rows()

    found = [(row.door, number) for row in rows for number in settled(row)]
    assert sorted(found) == sorted(set(history))
    assert sum(sum(row.delays) for row in rows) == len(history)
