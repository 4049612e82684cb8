import pytest

from ingress_testbed.polled.limits import Limit, Rate


@pytest.mark.parametrize(
    ("rate", "times", "waits"),
    [
        (Rate(1, 1), [0, 999, 1_000, 1_001], [0, 1, 0, 999]),
        (Rate(2, 60), [0, 10_000, 59_999, 60_000, 60_001], [0, 0, 1, 0, 9_999]),
        (Rate(2, 60, aligned=True), [59_998, 59_999, 59_999, 60_000], [0, 0, 1, 0]),
        (Rate(1, 1), [1_000, 1_500, 1_900, 2_000], [0, 500, 100, 0]),
    ],
)
def test_a_limit_tells_how_long_to_wait(rate: Rate, times: list[int], waits: list[int]) -> None:
    limit = Limit(rate)
    assert [limit.wait("me", now) for now in times] == waits
    assert (limit.requests, limit.breaches) == (len(times), sum(wait > 0 for wait in waits))


def test_accounts_have_a_limit_each_and_no_rate_limits_nobody() -> None:
    limit = Limit(Rate(1, 1))
    assert [limit.wait(who, 0) for who in ("a", "b")] == [0, 0]
    assert [Limit(None).wait("a", 0) for _ in range(9)] == [0] * 9
