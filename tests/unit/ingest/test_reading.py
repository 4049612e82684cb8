from datetime import UTC, datetime, timedelta, timezone, tzinfo
from math import copysign, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import TzInfo

from core_ingest.reading import (
    EARLIEST,
    LATEST,
    MAX_TEXT_BYTES,
    Unstorable,
    Value,
    columns,
    instant,
    micros,
    number,
    of_columns,
    order,
    text,
)

floats = st.floats(allow_nan=False, allow_infinity=False).map(number)
texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), max_size=MAX_TEXT_BYTES // 4
)
values = floats | texts | st.tuples(floats, floats)


@given(values)
def test_value_comes_back_from_its_columns(value: Value) -> None:
    assert of_columns(*columns(value)) == value


@given(values, values)
def test_columns_are_the_same_only_for_the_same_value(one: Value, other: Value) -> None:
    assert (repr(columns(one)) == repr(columns(other))) == (one == other)


@given(floats, texts, st.tuples(floats, floats))
def test_numbers_come_before_texts_and_texts_before_positions(
    a_number: float, a_text: str, a_position: tuple[float, float]
) -> None:
    assert order(a_number) < order(a_text) < order(a_position)


@given(texts, texts)
def test_texts_are_ordered_by_their_bytes(one: str, other: str) -> None:
    assert (order(one) < order(other)) == (one.encode() < other.encode())


@given(floats)
def test_number_is_never_minus_zero(value: float) -> None:
    assert value != 0 or copysign(1, value) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_what_is_no_finite_number_is_unstorable(value: float) -> None:
    with pytest.raises(Unstorable) as refusal:
        number(value)

    assert refusal.value.args[0] == "not_finite"


def test_text_is_kept_up_to_256_bytes() -> None:
    assert text("x" * 256) == "x" * 256
    assert text("") == ""
    for long in ("x" * 257, "é" * 129):
        with pytest.raises(Unstorable, match="text_too_long"):
            text(long)


@pytest.mark.parametrize("value", ["a\x00", "\ud800"])
def test_text_that_postgres_cannot_hold_is_unstorable(value: str) -> None:
    with pytest.raises(Unstorable, match="unstorable_text"):
        text(value)


@given(st.integers(EARLIEST, LATEST))
def test_instant_comes_back_from_its_microseconds(at: int) -> None:
    assert micros(instant(at)) == at


def test_calendar_ends_a_microsecond_before_what_the_driver_takes_for_infinity() -> None:
    microsecond = timedelta(microseconds=1)

    assert instant(EARLIEST) == datetime.min.replace(tzinfo=UTC) + microsecond
    assert instant(LATEST) == datetime.max.replace(tzinfo=UTC) - microsecond


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),  # noqa: DTZ001 — Hypothesis takes naive bounds
    st.sampled_from(
        [
            *(timezone(timedelta(minutes=minutes)) for minutes in (-1439, 0, 60, 1439)),
            *(TzInfo(seconds) for seconds in (-86_399, 0, 3_600)),
        ]
    ),
)
def test_offset_of_an_instant_is_taken_into_account(there: datetime, zone: tzinfo) -> None:
    there = there.replace(tzinfo=zone)

    assert instant(micros(there)) == there


def test_position_columns_leave_no_nan_and_number_and_text_columns_do() -> None:
    assert columns((52.0, 5.0)) == (52.0, 5.0, "")
    number_, nothing, empty = columns(1.5)
    assert (number_, isnan(nothing), empty) == (1.5, True, "")
    nothing, nor, a_text = columns("a")
    assert (isnan(nothing), isnan(nor), a_text) == (True, True, "a")
