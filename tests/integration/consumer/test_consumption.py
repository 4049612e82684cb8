"""What a member of the group makes of a topic, on a real broker and a real database."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from core_consumer.pipeline import Hold
from core_ingest.errors import StoreUnavailable
from core_ingest.handler import Result
from core_ingest.ledger.accounting import account
from core_ingest.unreadable import UNKNOWN_WORKSPACE

if TYPE_CHECKING:
    from tests.integration.consumer.conftest import Core, Log

pytestmark = pytest.mark.anyio


async def test_a_new_group_begins_at_the_earliest_record_of_a_full_topic(
    core: "Core", log: "Log"
) -> None:
    await log.write([log.frame(number) for number in range(600)])

    async with core.member():
        await core.holds(600)
    assert await log.committed() == log.written


async def test_offsets_are_committed_after_the_transaction(core: "Core", log: "Log") -> None:
    stored, go_on = asyncio.Event(), asyncio.Event()

    async def pause(step: str) -> None:
        if step == "stored":
            stored.set()
            await go_on.wait()

    await log.write([log.frame(number) for number in range(30)])
    async with core.member(core.gate(pause)):
        await stored.wait()
        assert await core.facts() == 0
        assert await log.committed() == {}
        go_on.set()
        await core.until(log.everything_is_acknowledged)
        assert await core.facts() == 30


@pytest.mark.kafka
async def test_a_batch_that_was_stored_and_not_acknowledged_is_harmless_when_it_comes_again(
    core: "Core", log: "Log"
) -> None:
    await log.write([log.frame(number) for number in range(30)])
    async with core.member(group=f"another-{log.topic}"):
        await core.holds(30)

    async with core.member():
        await core.until(log.everything_is_acknowledged)
    found = await account(core.pool, "acme")
    assert (found.received, found.redelivered) == (30, 30)
    assert await core.facts() == 30


async def test_a_poison_record_in_a_batch_of_500_costs_one_dead_letter(
    core: "Core", log: "Log"
) -> None:
    await core.refuse("NEW.num = 66.6")
    frames = [log.frame(number) for number in range(500)]
    frames[317] = log.frame(317, 66.6)
    await log.write(frames)

    async with core.member():
        await core.until(log.everything_is_acknowledged)
    assert await core.facts() == 499
    (letter,) = await core.dead_letters()
    assert letter[1] == "refused_by_database"


async def test_records_that_are_no_envelopes_become_dead_letters(core: "Core", log: "Log") -> None:
    await log.write([log.frame(0)], partition=1)
    await log.write_raw(b"\x00\xff", partition=1)
    await log.write_raw(b"{}", 1, [("content-type", b"application/cloudevents+json")])
    await log.write_raw(b"", 1, [("ce_specversion", b"1.0"), ("ce_workspaceid", b"\xff")])
    await log.write([log.frame(1)], partition=1)

    async with core.member():
        await core.until(log.everything_is_acknowledged)
    assert await core.facts() == 2
    assert await core.dead_letters() == [
        (f"{log.topic}/1/1", "unsupported_specversion"),
        (f"{log.topic}/1/2", "unsupported_mode"),
        (f"{log.topic}/1/3", "invalid_attribute"),
    ]
    names = await core.pool.fetch("SELECT name FROM workspaces ORDER BY name")
    assert [row["name"] for row in names] == [UNKNOWN_WORKSPACE, "acme"]


@pytest.mark.kafka
async def test_a_refused_batch_is_read_again_from_every_partition(core: "Core", log: "Log") -> None:
    gate = core.gate()
    gate.trouble = StoreUnavailable("made up")
    gate.open.clear()
    await log.write([log.frame(number) for number in range(90)])
    async with core.member(gate):
        await core.until(lambda: gate.attempts == 1)
        # What comes meanwhile is a batch of its own behind it, and must not pass it.
        await log.write([log.frame(number) for number in range(90, 120)])
        gate.open.set()
        await core.until(lambda: gate.attempts == 3)
        assert await log.committed() == {}
        gate.trouble = None
        await core.until(log.everything_is_acknowledged)

    seen: dict[str, list[int]] = {}
    for batch in gate.given:
        for route, offsets in batch.items():
            seen.setdefault(route, []).append(offsets[0])
    assert len(seen) == 3
    assert all(firsts[:2] == [0, 0] for firsts in seen.values())
    assert await core.facts() == 120
    assert (await account(core.pool, "acme")).received == 120


@pytest.mark.kafka
async def test_an_outage_longer_than_the_poll_interval_costs_no_dead_letter_and_no_rebalance(
    core: "Core", log: "Log"
) -> None:
    gate = core.gate()
    gate.trouble = StoreUnavailable("the database is away")
    await log.write([log.frame(number) for number in range(300)])
    async with core.member(gate, poll_interval_seconds=1, retry_seconds=0.2) as member:
        generation = member.pipeline._generation
        await core.passes(2)
        assert member.ready() == "the database is away"
        assert member.pipeline._generation == generation
        gate.trouble = None
        await core.until(log.everything_is_acknowledged)
        assert member.ready() is True
        assert member.pipeline._generation == generation
    assert await core.facts() == 300
    assert await core.dead_letters() == []


@pytest.mark.kafka
async def test_a_batch_longer_than_the_poll_interval_costs_no_rebalance(
    core: "Core", log: "Log"
) -> None:
    gate = core.gate()
    gate.open.clear()
    await log.write([log.frame(number) for number in range(30)])
    async with core.member(gate, poll_interval_seconds=1) as member:
        generation = member.pipeline._generation
        await core.until(lambda: gate.attempts == 1)
        await log.write([log.frame(number) for number in range(30, 60)])
        await core.until(lambda: member.pipeline.held is Hold.SLOW)
        await core.passes(2)
        gate.open.set()
        await core.until(log.everything_is_acknowledged)
        assert member.pipeline._generation == generation
    assert await core.facts() == 60


async def test_the_breaker_stops_consumption_before_offsets_pass_what_was_rejected(
    core: "Core", log: "Log"
) -> None:
    await log.write([log.frame(number, provider="nobody") for number in range(50)])
    async with core.member(breaker_records=100) as member:
        await core.until(lambda: member.pipeline.held is Hold.BREAKER)
        assert "50 of the newest 50 records were rejected" in str(member.ready())
        assert len(await core.dead_letters()) == 50
        await log.write([log.frame(number) for number in range(50, 60)])
        assert await log.committed() == {}
    assert await core.facts() == 0

    async with core.member(breaker_records=10_000):
        await core.until(log.everything_is_acknowledged)
    assert (await account(core.pool, "acme")).dead_lettered == 50
    assert await core.facts() == 10


async def test_unknown_versions_do_not_trip_the_breaker(core: "Core", log: "Log") -> None:
    kind = "telematics.provider.message.v9"
    await log.write([log.frame(number, type=kind) for number in range(200)])
    async with core.member(breaker_records=100):
        await core.until(log.everything_is_acknowledged)
    assert len(await core.dead_letters()) == 200


async def test_stopping_finishes_the_batch_in_work_and_leaves_the_group(
    core: "Core", log: "Log"
) -> None:
    gate = core.gate()
    gate.open.clear()
    await log.write([log.frame(number) for number in range(60)])
    async with core.member(gate) as member:
        await core.until(lambda: gate.attempts == 1)

        async def let_go() -> None:
            await core.until(lambda: member.pipeline.held is Hold.CLOSING)
            gate.open.set()

        letting_go = asyncio.create_task(let_go())
    await letting_go
    taken = sum(len(offsets) for offsets in gate.given[0].values())
    assert await core.facts() == taken
    assert sum((await log.committed()).values()) == taken

    async with core.member():  # within the session of a member that had not left, it would wait
        await core.until(log.everything_is_acknowledged)
    assert await core.facts() == 60


async def test_what_is_not_finished_in_time_is_given_up_unacknowledged(
    core: "Core", log: "Log"
) -> None:
    gate = core.gate()
    gate.open.clear()
    await log.write([log.frame(number) for number in range(60)])
    async with core.member(gate, grace_seconds=0.5):
        await core.until(lambda: gate.attempts == 1)
    assert await log.committed() == {}
    assert await core.facts() == 0


async def test_a_database_that_hangs_does_not_keep_a_member_in_its_group(
    core: "Core", log: "Log"
) -> None:
    stuck, answers = asyncio.Event(), asyncio.Event()

    class Hung:
        async def handle_together(self, _deliveries: object) -> list[Result]:
            stuck.set()
            try:
                await answers.wait()
            finally:  # nor does it answer to a cancellation
                await answers.wait()
            raise AssertionError("it was to be cancelled")

    await log.write([log.frame(number) for number in range(60)])
    async with core.member(Hung(), grace_seconds=8) as member:
        await stuck.wait()
    assert member._subscriber.consumer is None  # set once the group is left
    answers.set()
    assert await log.committed() == {}


@pytest.mark.capability("adds_partitions")
async def test_partitions_added_while_running_are_read_from_their_first_record(
    core: "Core", log: "Log"
) -> None:
    await log.write([log.frame(number) for number in range(30)])
    async with core.member():
        await core.holds(30)
        await log.add_partitions(5)
        await log.write([log.frame(number) for number in range(30, 60)], partition=4)
        await core.holds(60)
        await core.until(log.everything_is_acknowledged)


@pytest.mark.capability("consumer_groups")
@pytest.mark.kafka
async def test_a_second_member_takes_over_partitions_and_nothing_is_lost(
    core: "Core", log: "Log"
) -> None:
    async with core.member() as first:
        await log.write([log.frame(number) for number in range(300)])
        async with core.member() as second:
            await log.write([log.frame(number) for number in range(300, 600)])
            await core.until(
                lambda: {len(each.consumer().assignment()) for each in (first, second)} == {1, 2}
            )
            await core.holds(600)
        await log.write([log.frame(number) for number in range(600, 900)])
        await core.holds(900)
        await core.until(log.everything_is_acknowledged)
    assert (await account(core.pool, "acme")).received == 900


@pytest.mark.capability("consumer_groups")
@pytest.mark.kafka
async def test_a_batch_in_work_is_given_up_when_its_partitions_move(
    core: "Core", log: "Log"
) -> None:
    gate = core.gate()
    gate.open.clear()
    await log.write([log.frame(number) for number in range(60)])
    async with core.member(gate, rebalance_seconds=2):
        await core.until(lambda: gate.attempts == 1)
        async with core.member(rebalance_seconds=2) as second:
            await core.until(lambda: 0 < len(second.consumer().assignment()) < 3)
            assert gate.given_up >= 1
            gate.open.set()
            await core.holds(60)
            await core.until(log.everything_is_acknowledged)
