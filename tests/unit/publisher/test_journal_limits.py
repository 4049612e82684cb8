import pytest

from telematics_publisher.journal.limits import (
    REPORT_BYTES,
    Level,
    Limits,
    Policy,
    Verdict,
)
from telematics_publisher.service import _limits
from telematics_publisher.settings import PublisherSettings

ROOM = 1_000_000
MAX = ROOM + REPORT_BYTES
NOW = 10_000
AGE = 1_000

TAKE, DROP, WAIT = Verdict.TAKE, Verdict.DROP_FIRST, Verdict.WAIT


@pytest.mark.parametrize(
    ("level", "blocking", "dropping"),
    [
        (Level(), TAKE, TAKE),
        (Level(ROOM - 1, NOW, NOW), TAKE, TAKE),
        (Level(ROOM, NOW, NOW), WAIT, DROP),
        (Level(ROOM, NOW, None), WAIT, WAIT),  # whatever is there may have been sent
        (Level(10, NOW - AGE, NOW - AGE), TAKE, TAKE),
        (Level(10, NOW - AGE - 1, NOW - AGE - 1), WAIT, DROP),
        (Level(10, NOW - AGE - 1, NOW), WAIT, TAKE),  # what is too old may have been sent
        (Level(10, NOW - AGE - 1, None), WAIT, TAKE),
        (Level(10, NOW + 5, NOW + 5), TAKE, TAKE),  # a clock that was set back
    ],
)
def test_a_full_journal_waits_or_drops_as_its_policy_says(
    level: Level, blocking: Verdict, dropping: Verdict
) -> None:
    assert Limits(MAX, AGE).judge(level, NOW) is blocking
    assert Limits(MAX, AGE, Policy.DROP_OLDEST).judge(level, NOW) is dropping


def test_without_an_age_limit_nothing_is_too_old() -> None:
    for policy in Policy:
        assert Limits(MAX, None, policy).judge(Level(10, 0, 0), NOW) is TAKE


def test_space_for_the_report_of_drops_is_never_given_to_records() -> None:
    limits = Limits(MAX, policy=Policy.DROP_OLDEST)
    assert limits.judge(Level(MAX - REPORT_BYTES, NOW, NOW), NOW) is not TAKE


def test_bytes_are_given_up_in_slices_and_age_to_the_instant() -> None:
    limits = Limits(MAX, AGE, Policy.DROP_OLDEST)
    by_size = limits.excess(Level(ROOM + 10, NOW, NOW), NOW)
    assert (by_size.bytes, by_size.before) == (10 + ROOM // 16, NOW - AGE)
    by_age = limits.excess(Level(10, 0, 0), NOW)
    assert (by_age.bytes, by_age.before) == (0, NOW - AGE)
    assert Limits(2**40).excess(Level(2**40, 0, 0), NOW).bytes <= REPORT_BYTES + 2**24


def test_limits_are_those_of_the_settings() -> None:
    settings = PublisherSettings(
        journal_max_bytes=2**21, journal_max_age_seconds=1.5, journal_when_full="drop-oldest"
    )
    assert _limits(settings) == Limits(2**21, 1_500_000, Policy.DROP_OLDEST)
    assert _limits(PublisherSettings()) == Limits(4 * 2**30, None, Policy.BLOCK)
