"""Retry is a predicate plus a delay. Both are pure; loops contain no policy."""

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from ingress_runtime.backoff import Backoff, Random
from telematics_publisher.errors import (
    DeadlineExceeded,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)

RETRYABLE = (DeadlineExceeded, Unavailable, UnexpectedAnswer, Unreachable)
LONGEST_WISH = 300.0
"""Seconds of Retry-After that are honoured; nobody is trusted to silence an edge for a day."""

Sleep = Callable[[float], Awaitable[None]]


def is_retryable(error: BaseException) -> bool:
    """Tell whether sending the same batch again may succeed."""
    return isinstance(error, RETRYABLE)


def delay(error: BaseException | None, attempt: int, backoff: Backoff, random: Random) -> float:
    """Return the seconds to wait after `error`; attempts count from 0.

    The other side's Retry-After is a lower bound, and up to a tenth is added to it, so that the
    batches in flight do not all return at once. Otherwise full jitter.
    """
    wish = error.retry_after if isinstance(error, Unavailable) else None
    if wish is None:
        return backoff.delay(attempt, random)
    return min(wish, LONGEST_WISH) * (1.0 + 0.1 * random())


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After asks for (RFC 9110, 10.2.3), or None without one.

    Seconds (some servers send fractions) or an HTTP date; the past counts as now.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def retrying(backoff: Backoff, random: Random, sleep: Sleep, log: Any) -> AsyncRetrying:
    """Return a retry loop without end: what is journalled is sent until it has arrived.

    Each retry is told to `log`, which is bound, for those who look closely: see
    telematics_publisher.outage for what everybody is told.
    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return delay(error, state.attempt_number - 1, backoff, random)

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.debug(
            "send_retried",
            attempt=state.attempt_number,
            wait_seconds=round(state.next_action.sleep, 3) if state.next_action else None,
            error=str(error),
        )

    return AsyncRetrying(
        retry=retry_if_exception(is_retryable),
        wait=wait,
        sleep=sleep,
        before_sleep=say,
        reraise=True,
    )
