import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core_api.group_commit import GroupCommit, QueueClosed, QueueFull
from core_ingest.door import Door, Principal
from core_ingest.errors import ClockAhead, IngestError, StoreUnavailable
from core_ingest.handler import Delivery
from core_ingest.outcome import PLAIN, Outcome, OutcomeKind

pytestmark = pytest.mark.anyio

ACCEPTED = PLAIN[OutcomeKind.ACCEPTED]
Answer = Callable[[Delivery], list[Outcome] | IngestError]


def accept(delivery: Delivery) -> list[Outcome]:
    return [ACCEPTED] * len(delivery.envelopes)


class FakeHandler:
    """Commits when it is let; remembers the sizes of the deliveries of each group."""

    def __init__(self, answer: Answer = accept) -> None:
        self.groups: list[list[int]] = []
        self.locked: list[Callable[[], None]] = []
        self.entered = asyncio.Semaphore(0)
        self.let = asyncio.Semaphore(0)
        self.answer = answer

    async def handle_together(
        self, deliveries: Sequence[Delivery], *, locked: Callable[[], None] = lambda: None
    ) -> list[list[Outcome] | IngestError]:
        self.locked.append(locked)
        self.groups.append([len(delivery.envelopes) for delivery in deliveries])
        self.entered.release()
        await self.let.acquire()
        return [self.answer(delivery) for delivery in deliveries]


def delivery(size: int, sender: str | None = None, sequence: int = 0) -> Delivery:
    first = SimpleNamespace(publisherepoch=None, sequence=sequence)  # all that is looked at
    return Delivery(
        envelopes=cast("Any", [first] * size),
        door=Door.HTTP,
        principal=Principal(publisher=sender),
    )


@asynccontextmanager
async def committing(
    handler: FakeHandler, *, workers: int = 1, max_group: int = 10, capacity: int = 100
) -> AsyncIterator[GroupCommit]:
    commits = GroupCommit(handler, workers=workers, max_group=max_group, capacity=capacity)
    yield commits
    for _ in range(100):
        handler.let.release()
    await commits.close()


async def submitted(
    commits: GroupCommit, *deliveries: int | Delivery
) -> list[asyncio.Task[list[Outcome]]]:
    """Submit deliveries (or such of a size) in this order, and return once all of them wait."""
    made = [delivery(one) if isinstance(one, int) else one for one in deliveries]
    tasks = [asyncio.create_task(commits.submit(one)) for one in made]
    await asyncio.sleep(0)
    return tasks


async def test_what_waits_while_one_commits_shares_the_next_transaction() -> None:
    handler = FakeHandler()
    async with committing(handler) as commits:
        first = await submitted(commits, 1)
        await handler.entered.acquire()
        rest = await submitted(commits, 2, 3)
        handler.let.release()
        await handler.entered.acquire()
        handler.let.release()
        results = await asyncio.gather(*first, *rest)

    assert handler.groups == [[1], [2, 3]]
    assert [len(result) for result in results] == [1, 2, 3]


async def test_group_ends_before_it_would_pass_its_maximum() -> None:
    handler = FakeHandler()
    async with committing(handler, max_group=10) as commits:
        await submitted(commits, 1)
        await handler.entered.acquire()
        await submitted(commits, 4, 6, 1, 25, 2)

    assert handler.groups == [[1], [4, 6], [1], [25], [2]]


async def test_workers_commit_different_senders_side_by_side() -> None:
    handler = FakeHandler()
    async with committing(handler, workers=2) as commits:
        await submitted(commits, delivery(1, "edge-1"))
        await handler.entered.acquire()
        await submitted(commits, delivery(2, "edge-2"))
        await handler.entered.acquire()

        assert handler.groups == [[1], [2]]


async def test_sender_waits_until_its_group_has_the_locks_and_then_no_longer() -> None:
    handler = FakeHandler()
    async with committing(handler, workers=3) as commits:
        await submitted(commits, delivery(1, "edge-1"))
        await handler.entered.acquire()
        await submitted(commits, delivery(2, "edge-1"), delivery(3, "edge-2"))
        await handler.entered.acquire()
        before = [*handler.groups]
        handler.locked[0]()
        await handler.entered.acquire()

    assert before == [[1], [3]]
    assert handler.groups == [[1], [3], [2]]


async def test_end_of_a_group_does_not_let_a_third_one_pass_the_second() -> None:
    handler = FakeHandler()
    async with committing(handler, workers=3) as commits:
        [first] = await submitted(commits, 1)
        await handler.entered.acquire()
        handler.locked[0]()
        await submitted(commits, 2)
        await handler.entered.acquire()
        await submitted(commits, 3)
        handler.let.release()  # the first, which was the first to wait
        await first
        await asyncio.sleep(0)
        before = [*handler.groups]

    assert before == [[1], [2]]
    assert handler.groups == [[1], [2], [3]]


async def test_group_that_fails_frees_its_sender() -> None:
    def answer(_: Delivery) -> list[Outcome]:
        raise StoreUnavailable("away")

    handler = FakeHandler(answer)
    async with committing(handler, workers=2) as commits:
        first = await submitted(commits, 1)
        await handler.entered.acquire()
        second = await submitted(commits, 2)
        handler.let.release()
        await handler.entered.acquire()
        handler.let.release()
        await asyncio.gather(*first, *second, return_exceptions=True)

    assert handler.groups == [[1], [2]]


async def test_requests_that_passed_each_other_are_committed_in_the_journals_order() -> None:
    handler = FakeHandler()
    async with committing(handler) as commits:
        await submitted(commits, 1)
        await handler.entered.acquire()
        await submitted(commits, delivery(2, sequence=500), delivery(3, sequence=0))

    assert handler.groups == [[1], [3, 2]]


async def test_full_queue_refuses_before_taking_and_takes_again_after_a_commit() -> None:
    handler = FakeHandler()
    async with committing(handler, capacity=3) as commits:
        tasks = await submitted(commits, 2)
        with pytest.raises(QueueFull, match="the limit is 3"):
            await commits.submit(delivery(2))
        handler.let.release()
        await asyncio.gather(*tasks)
        handler.let.release()

        assert len(await commits.submit(delivery(3))) == 3


async def test_cancelled_caller_does_not_cancel_the_commit() -> None:
    handler = FakeHandler()
    async with committing(handler) as commits:
        [first] = await submitted(commits, 1)
        await handler.entered.acquire()
        [second] = await submitted(commits, 2)
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    assert first.cancelled()
    assert second.cancelled()
    assert handler.groups == [[1], [2]]


async def test_error_of_one_delivery_is_raised_to_its_caller_alone() -> None:
    def answer(one: Delivery) -> list[Outcome] | IngestError:
        return ClockAhead("edge-1", 400, 300) if len(one.envelopes) == 2 else accept(one)

    handler = FakeHandler(answer)
    async with committing(handler) as commits:
        await submitted(commits, 1)
        await handler.entered.acquire()
        late, good = await submitted(commits, 2, 3)
        handler.let.release()
        handler.let.release()

        with pytest.raises(ClockAhead):
            await late
        assert len(await good) == 3


async def test_lost_store_is_raised_to_every_caller_of_the_group() -> None:
    def answer(_: Delivery) -> list[Outcome]:
        raise StoreUnavailable("away")

    handler = FakeHandler(answer)
    async with committing(handler) as commits:
        tasks = await submitted(commits, 1, 2)
        handler.let.release()
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert handler.groups == [[1, 2]]
    assert [type(result) for result in results] == [StoreUnavailable, StoreUnavailable]


async def test_delivery_that_breaks_the_handler_never_fails_its_neighbours() -> None:
    def answer(one: Delivery) -> list[Outcome]:
        if len(one.envelopes) == 2:
            raise ZeroDivisionError
        return accept(one)

    handler = FakeHandler(answer)
    for _ in range(4):
        handler.let.release()
    async with committing(handler) as commits:
        results = await asyncio.gather(*await submitted(commits, 1, 2, 3), return_exceptions=True)
        again = await submitted(commits, 4)
        handler.let.release()

        assert len(await again[0]) == 4
    assert handler.groups == [[1, 2, 3], [1], [2], [3], [4]]
    assert isinstance(results[1], ZeroDivisionError)
    assert [results[0], results[2]] == [[ACCEPTED], [ACCEPTED] * 3]


async def test_close_commits_what_was_taken_and_takes_nothing_more() -> None:
    handler = FakeHandler()
    commits = GroupCommit(handler, workers=1, max_group=10, capacity=100)
    [first] = await submitted(commits, 1)
    await handler.entered.acquire()
    [second] = await submitted(commits, 2)

    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    with pytest.raises(QueueClosed):
        await commits.submit(delivery(1))
    handler.let.release()
    handler.let.release()
    await closing

    assert (len(await first), len(await second)) == (1, 2)
