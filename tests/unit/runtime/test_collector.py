"""The garbage collector in a process that moves batches."""

import gc
from collections.abc import Iterator

import pytest

from ingress_runtime import collector


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_alive_at_the_start_is_left_out_of_later_looks() -> None:
    collector.spare_batches()

    assert gc.get_freeze_count() > 0
    assert gc.isenabled()


def test_a_batch_in_work_is_not_walked_over_and_cycles_still_are_collected() -> None:
    collector.spare_batches()
    before = [generation["collections"] for generation in gc.get_stats()]

    batch: list[list[int]] = [[] for _ in range(collector.ALIVE_MORE // 2)]
    assert [generation["collections"] for generation in gc.get_stats()] == before

    batch += [[] for _ in range(collector.ALIVE_MORE)]
    assert gc.get_stats()[0]["collections"] > before[0]
