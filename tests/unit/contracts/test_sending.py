from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress_contracts.sending import read_sent_time, write_sent_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_read_as_it_was_written(instant: datetime) -> None:
    expected = (instant - EPOCH) // timedelta(microseconds=1)
    assert read_sent_time(write_sent_time(instant)) == expected


def test_a_zone_is_reckoned_with() -> None:
    there = datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert read_sent_time(write_sent_time(there)) == 0


@pytest.mark.parametrize("value", [None, "", "yesterday", "2026-01-01", "2026-01-01T00:00:00"])
def test_what_names_no_instant_is_nothing(value: str | None) -> None:
    assert read_sent_time(value) is None


@given(st.text())
def test_no_text_raises(value: str) -> None:
    read_sent_time(value)


def test_an_instant_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="zone"):
        write_sent_time(datetime(2026, 1, 1))  # noqa: DTZ001 — that is the point
