from collections.abc import Callable
from datetime import UTC, datetime

from ingress_testbed.demo.progress import STALL_SECONDS, Progress
from ingress_testbed.demo.samples import Sample

LATER = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_run_is_over_once_each_publisher_reported_after_everything_arrived(
    make_sample: Callable[..., Sample],
) -> None:
    progress = Progress()

    assert not progress.over(make_sample())
    assert not progress.over(make_sample())
    assert progress.over(make_sample(reported=LATER))


def test_report_from_before_the_arrival_does_not_count(make_sample: Callable[..., Sample]) -> None:
    progress = Progress()

    assert not progress.over(make_sample(settled=99, in_flight=1))
    assert not progress.over(make_sample(reported=LATER))


def test_run_is_not_over_while_the_provider_sends(make_sample: Callable[..., Sample]) -> None:
    progress = Progress()

    assert not progress.over(make_sample(finished=False))
    assert not progress.over(make_sample(finished=False, reported=LATER))


def test_parked_vehicles_are_no_stall(make_sample: Callable[..., Sample]) -> None:
    progress = Progress()
    assert not progress.stalled(make_sample(finished=False))

    assert not progress.stalled(make_sample(finished=False, at=10 * STALL_SECONDS))


def test_journal_that_does_not_drain_is_a_stall(make_sample: Callable[..., Sample]) -> None:
    progress = Progress()
    assert not progress.stalled(make_sample(finished=False, pending=5))
    assert not progress.stalled(make_sample(finished=False, pending=5, at=STALL_SECONDS))

    assert progress.stalled(make_sample(finished=False, pending=5, at=STALL_SECONDS + 1))


def test_end_that_does_not_come_is_a_stall_but_not_while_anything_moves(
    make_sample: Callable[..., Sample],
) -> None:
    progress = Progress()
    assert not progress.stalled(make_sample(settled=98))
    assert not progress.stalled(make_sample(settled=99, at=STALL_SECONDS + 1))

    assert progress.stalled(make_sample(settled=99, at=2 * STALL_SECONDS + 2))
