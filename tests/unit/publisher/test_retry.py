from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress_runtime.backoff import Backoff
from telematics_publisher.errors import (
    BatchRefused,
    DeadlineExceeded,
    EverythingRefused,
    JournalBroken,
    NotAuthorised,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from telematics_publisher.retry import LONGEST_WISH, delay, is_retryable, parse_retry_after

NOW = datetime(2026, 7, 14, 10, 15, tzinfo=UTC)
BACKOFF = Backoff(base=1.0, ceiling=8.0)


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (Unreachable("connection refused"), True),
        (DeadlineExceeded("30 s"), True),
        (Unavailable("HTTP 503"), True),
        (Unavailable("HTTP 429", retry_after=2.0), True),
        (UnexpectedAnswer("HTTP 404"), True),
        (BatchRefused("HTTP 413", "too_large"), False),
        (NotAuthorised("HTTP 401"), False),
        (EverythingRefused("100 in a row"), False),
        (JournalBroken("disk I/O error"), False),
        (ValueError("a bug"), False),
    ],
)
def test_only_what_the_same_batch_may_outlive_is_retried(error: Exception, retryable: bool) -> None:
    assert is_retryable(error) is retryable


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Tue, 14 Jul 2026 10:15:30 GMT", 30.0),
        ("Tue, 14 Jul 2026 10:14:00 GMT", 0.0),
        ("Tuesday, 14-Jul-26 10:15:10 GMT", 10.0),
        ("Tue, 14 Jul 2026 10:15:05 -0000", 5.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_fraction_or_date(
    value: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_no_retry_after_whatsoever_raises(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


def test_delay_honours_a_wish_and_spreads_those_who_share_it() -> None:
    error = Unavailable("HTTP 429", retry_after=10.0)
    assert delay(error, 7, BACKOFF, lambda: 0.0) == 10.0
    assert delay(error, 7, BACKOFF, lambda: 1.0) == 11.0


def test_delay_does_not_honour_a_wish_without_end() -> None:
    error = Unavailable("HTTP 503", retry_after=1e9)
    assert delay(error, 0, BACKOFF, lambda: 0.0) == LONGEST_WISH


def test_delay_without_a_wish_is_the_backoff() -> None:
    for error in (Unavailable("HTTP 503"), Unreachable("refused")):
        assert delay(error, 1, BACKOFF, lambda: 0.5) == 1.0
        assert delay(error, 9, BACKOFF, lambda: 1.0) == 8.0
