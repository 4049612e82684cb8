"""Every number that a publisher handed out stands in exactly one term of the accounting."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core_ingest.door import Door
from core_ingest.ledger.accounting import Accounting, Terms, account
from core_ingest.ledger.compactor import Compactor, compact
from core_ingest.ledger.numbers import BLOCK
from core_ingest.ledger.settlements import Settlements
from core_ingest.store.database import connect
from core_ingest.store.transaction import Transaction

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EARLY, LATE = UUID(int=1), UUID(int=2)
BOTH_ROUTES = ({"door": "http"}, {"door": "kafka", "topic": "fleet", "partitions": 2})


def shown(terms: Terms) -> dict[str, int]:
    """The terms that are not zero."""
    return {
        name: value for name in Terms.model_fields if (value := getattr(terms, name)) and value > 0
    }


async def accounted(core: "Core", workspace: str = "acme") -> dict[str, int]:
    """Return a workspace's terms that are not zero; the equation must hold."""
    found = await account(core.pool, workspace)
    assert holds(found)
    return shown(found)


def holds(found: Accounting) -> bool:
    """The equation, in the whole and for each publisher; the whole is the sum."""
    parts = [
        "accepted", "unchanged", "stale", "duplicate", "conflict", "empty", "quarantined",
        "dead_lettered", "dropped", "in_flight", "unaccounted",
    ]  # fmt: skip
    accounts: list[Terms] = [found, *found.publishers]
    return all(
        each.received == sum(getattr(each, part) for part in parts)
        and each.stranded <= each.in_flight
        for each in accounts
    ) and all(
        getattr(found, name) == sum(getattr(each, name) for each in found.publishers)
        for name in Terms.model_fields
    )


async def settle(
    core: "Core",
    edge: "Edge",
    numbers: Iterable[int],
    outcome: str = "accepted",
    door: Door = Door.HTTP,
) -> None:
    """Append settlements of `edge` in one transaction, as the handler does."""
    settlements = Settlements(0)
    workspace = await number_of(core, edge.workspace)
    for number in numbers:
        settlements.settle(workspace, edge.publisher, edge.epoch, door, outcome, number, 0)
    async with core.pool.acquire() as connection, connection.transaction():
        await Transaction(connection).append_settlements(settlements.rows())


async def number_of(core: "Core", workspace: str) -> int:
    await core.pool.execute(
        "INSERT INTO workspaces (name) VALUES ($1) ON CONFLICT DO NOTHING", workspace
    )
    found: int = await core.pool.fetchval("SELECT id FROM workspaces WHERE name = $1", workspace)
    return found


async def arrive(core: "Core", route: str, number: int) -> None:
    """Let a checkpoint arrive by another route than the HTTP door."""
    await core.pool.execute(
        "INSERT INTO checkpoint_arrivals (workspace, publisher, route, number)"
        " SELECT id, 'edge-1', $1, $2 FROM workspaces WHERE name = 'acme'"
        " ON CONFLICT (workspace, publisher, route) DO UPDATE SET number = excluded.number",
        route,
        number,
    )


async def test_outcomes_are_counted_one_term_each(core: "Core", edge: "Edge") -> None:
    frame = edge.frame("speed", 40.0)
    await core.take(
        frame,
        edge.frame("speed", 40.0),
        edge.frame("speed", 41.0),
        edge.frame("speed", "fast"),
        edge.frame("speed", None),
        edge.connection("connected"),
        edge.checkpoint(1),
        frame.model_copy(update={"sequence": None}),
    )

    assert await accounted(core) == {
        "received": 5,
        "control": 1,
        "accepted": 1,
        "duplicate": 1,
        "conflict": 1,
        "dead_lettered": 1,
        "empty": 1,
    }


async def test_compactor_folds_what_was_appended_and_removes_it(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 40.0), edge.frame("speed", "fast"))
    await core.take(edge.frame("odo", 40.0))
    assert await core.count("settlements") == 3

    assert await compact(core.pool) == 3
    assert await compact(core.pool) == 0

    assert await core.count("settlements") == 0
    assert await accounted(core) == {"received": 3, "accepted": 2, "dead_lettered": 1}


async def test_first_settlement_counts_and_later_ones_are_redelivered_by_door(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(3)]
    await core.take(*frames)
    await core.take(*frames[:2], door=Door.KAFKA)
    await compact(core.pool)
    await core.take(frames[0], door=Door.KAFKA)

    assert await accounted(core) == {
        "received": 3,
        "accepted": 1,
        "conflict": 2,
        "redelivered": 3,
    }
    rows = await core.pool.fetch("SELECT door, sum(redelivered) AS n FROM ledger_counts GROUP BY 1")
    assert {row["door"]: row["n"] for row in rows} == {"http": 0, "kafka": 3}


async def test_delays_of_all_batches_are_added_up(core: "Core", edge: "Edge") -> None:
    for at in range(3):
        await core.take(edge.frame("speed", float(at)), edge.frame("odo", float(at)))
        await compact(core.pool)

    delays = await core.pool.fetch("SELECT delays FROM ledger_counts")
    assert sum(sum(row["delays"]) for row in delays) == 6


async def test_several_compactors_and_handlers_at_once_count_every_number_once(
    core: "Core", edge: "Edge", database_url: str
) -> None:
    others = [await connect(database_url, max_size=2) for _ in range(2)]

    async def deliver(start: int) -> None:
        for low in range(start, start + 100, 10):
            await settle(core, edge, range(low, low + 15))

    async def fold(pool: Any) -> int:
        return sum([await compact(pool) for _ in range(8)])

    try:
        folded = await asyncio.gather(
            *(fold(pool) for pool in [core.pool, *others]),
            *(deliver(start) for start in (0, 100, 200)),
        )
    finally:
        for pool in others:
            await pool.close()

    assert sum(number for number in folded if number) + await compact(core.pool) == 30
    assert await accounted(core) == {"received": 305, "accepted": 305, "redelivered": 145}


async def test_full_blocks_become_ranges(core: "Core", edge: "Edge") -> None:
    await settle(core, edge, range(10, 2 * BLOCK))
    await compact(core.pool)
    assert await core.count("ledger_blocks") == 1

    await settle(core, edge, range(10))
    await settle(core, edge, [5, BLOCK + 5, 3 * BLOCK])
    await compact(core.pool)

    blocks = await core.pool.fetch("SELECT block, numbers FROM ledger_blocks")
    assert [tuple(row) for row in blocks] == [(3, b"\x01")]
    (full,) = await core.pool.fetchval("SELECT settled FROM ledger_epochs")
    assert (full.lower, full.upper) == (0, 2 * BLOCK)
    assert await accounted(core) == {
        "received": 3 * BLOCK + 1,
        "accepted": 2 * BLOCK + 1,
        "in_flight": BLOCK,
        "stranded": BLOCK,
        "redelivered": 2,
    }


async def test_number_that_is_neither_pending_nor_settled_is_unaccounted(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(5)]
    await core.take(frames[0], frames[4], edge.checkpoint(1, pending=[(1, 2)]))

    found = await accounted(core)
    assert (found["in_flight"], found["unaccounted"]) == (2, 1)

    await core.take(*frames[1:4], edge.checkpoint(2))
    found = await accounted(core)
    assert found.keys() & {"in_flight", "unaccounted"} == set()
    assert found["received"] == 5


async def test_pending_number_that_was_settled_meanwhile_is_not_in_flight(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(3)]
    await core.take(edge.checkpoint(1, pending=[(0, 2)]))
    assert await accounted(core) == {"received": 3, "in_flight": 3}

    await core.take(*frames[:2])
    assert await accounted(core) == {"received": 3, "accepted": 1, "conflict": 1, "in_flight": 1}


async def test_number_above_the_checkpoint_is_in_flight_and_not_unaccounted(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(5)]
    await core.take(frames[0], edge.checkpoint(1, head=0), frames[4])

    assert await accounted(core) == {"received": 5, "accepted": 1, "conflict": 1, "in_flight": 3}


async def test_checkpoint_counts_once_it_or_a_later_one_arrived_on_every_route(
    core: "Core", edge: "Edge"
) -> None:
    await core.take(edge.frame("speed", 1.0))
    seen = []
    for event in [
        core.take(edge.checkpoint(3, head=5, routes=BOTH_ROUTES)),
        arrive(core, "kafka/fleet/0", 3),
        arrive(core, "kafka/fleet/1", 2),
        arrive(core, "kafka/fleet/1", 7),
    ]:
        await event
        seen.append((await accounted(core)).get("unaccounted", 0))

    assert seen == [0, 0, 0, 5]
    assert await core.count("checkpoints") == 0


async def test_late_copy_of_an_older_checkpoint_changes_nothing(core: "Core", edge: "Edge") -> None:
    older = edge.checkpoint(1, head=9, pending=[(0, 9)])
    await core.take(older)
    await core.take(edge.checkpoint(2, head=9, pending=[(0, 3)]))
    before = await accounted(core)
    assert (before["unaccounted"], before["in_flight"]) == (6, 4)

    assert await core.take(older) == ["control"]

    assert await accounted(core) == before
    assert await core.count("checkpoints") == 0


async def test_checkpoint_is_applied_after_what_was_settled_before_it(
    core: "Core", edge: "Edge"
) -> None:
    for number in range(4):
        await core.take(edge.frame("speed", float(number)))
        await core.take(edge.checkpoint(number))

    assert await compact(core.pool) == 4
    assert "unaccounted" not in await accounted(core)


async def test_silent_publisher_leaves_what_is_pending_stranded(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0), edge.checkpoint(1, head=3, pending=[(1, 3)]))
    assert "stranded" not in await accounted(core)

    await core.pool.execute("UPDATE ledger_epochs SET reported = reported - interval '1 hour'")
    assert await accounted(core) == {"received": 4, "accepted": 1, "in_flight": 3, "stranded": 3}

    await core.take(edge.checkpoint(2, head=3, pending=[(1, 3)]))
    assert "stranded" not in await accounted(core)


async def test_dropped_numbers_count_once_however_often_they_are_reported(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at)) for at in range(4)]
    await core.take(frames[0])
    for number in range(3):
        await core.take(edge.checkpoint(number, dropped=[(1, 2)], pending=[(3, 3)]))

    assert await accounted(core) == {"received": 4, "accepted": 1, "dropped": 2, "in_flight": 1}

    await core.take(frames[2])
    found = await accounted(core)
    assert (found["dropped"], found["redelivered"]) == (2, 1)


async def test_undeliverable_settles_its_target_as_a_dead_letter(
    core: "Core", edge: "Edge"
) -> None:
    too_large = edge.frame("speed", 1.0)
    await core.take(edge.undeliverable(0), edge.checkpoint(1))

    assert await accounted(core) == {"received": 1, "control": 1, "dead_lettered": 1}

    await core.take(too_large)
    found = await accounted(core)
    assert (found["received"], found["dead_lettered"], found["redelivered"]) == (1, 1, 1)


async def test_undeliverable_settles_a_target_of_an_older_epoch(core: "Core", edge: "Edge") -> None:
    await core.take(edge.undeliverable(4, epoch=EARLY))

    epochs = await core.pool.fetch("SELECT epoch, lowest FROM ledger_epochs")
    assert await accounted(core) == {"received": 1, "control": 1, "dead_lettered": 1}
    assert {row["epoch"] for row in epochs} <= {EARLY, edge.epoch}


async def test_closed_epochs_stay_counted(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0), edge.checkpoint(1, closed=True))
    again = type(edge)(epoch=LATE, sequence=1)
    await core.take(again.frame("speed", 2.0), again.checkpoint(2, first=1))

    assert await accounted(core) == {"received": 2, "accepted": 1, "conflict": 1}
    (publisher,) = (await account(core.pool, "acme")).publishers
    assert publisher.epochs == 2


async def test_what_a_checkpoint_said_of_an_epoch_holds_until_a_later_one_names_it(
    core: "Core", edge: "Edge"
) -> None:
    other = type(edge)(epoch=LATE)
    await core.take(edge.checkpoint(1, head=2), other.checkpoint(2, head=1, pending=[(0, 1)]))

    assert await accounted(core) == {"received": 5, "unaccounted": 3, "in_flight": 2}


async def test_publishers_and_workspaces_are_accounted_apart(core: "Core", edge: "Edge") -> None:
    """Even if they share an epoch's id, which only a copied journal could bring about."""
    neighbour, stranger = type(edge)(publisher="edge-2"), type(edge)(workspace="other")
    await settle(core, edge, [0, 1, 2])
    await settle(core, neighbour, [0, 7])
    await settle(core, stranger, [5], "stale")

    found = await account(core.pool, "acme")

    assert holds(found)
    assert {each.publisher: shown(each) for each in found.publishers} == {
        "edge-1": {"received": 3, "accepted": 3},
        "edge-2": {"received": 8, "accepted": 2, "in_flight": 6, "stranded": 6},
    }
    assert await accounted(core, "other") == {"received": 1, "stale": 1}


async def test_unknown_workspace_has_received_nothing(core: "Core") -> None:
    assert await account(core.pool, "nobody") == Accounting()


async def test_greatest_number_is_no_trouble(core: "Core", edge: "Edge") -> None:
    greatest = 2**63 - 1
    await core.take(
        edge.checkpoint(1, first=greatest - 2, head=greatest, pending=[(greatest,) * 2])
    )
    edge.sequence = greatest - 2
    await core.take(edge.frame("speed", 1.0))

    assert await accounted(core) == {
        "received": 3,
        "accepted": 1,
        "in_flight": 1,
        "unaccounted": 1,
    }


class Stop:
    """Asks to stop from the beginning."""

    async def wait(self) -> None:
        return None


async def test_compactor_folds_before_it_stops(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0))

    await Compactor(core.pool).run(Stop())

    assert await core.count("settlements") == 0


async def test_compactor_outlives_what_the_database_refuses(core: "Core", edge: "Edge") -> None:
    await core.take(edge.frame("speed", 1.0))
    await core.pool.execute("ALTER TABLE ledger_epochs ADD CHECK (lowest > 0)")

    await Compactor(core.pool).run(Stop())

    assert await core.count("settlements") == 1


async def test_compactor_outlives_an_outage(database_url: str) -> None:
    pool = await connect(database_url)
    await pool.close()

    await Compactor(pool).run(Stop())


class Intermittent:
    """A pool whose database is away whenever `outages` says so; the last word stands."""

    def __init__(self, pool: asyncpg.Pool, outages: list[bool]) -> None:
        self.pool = pool
        self.outages = outages
        self.over = asyncio.Event()

    def acquire(self) -> Any:
        away = self.outages[0]
        if len(self.outages) > 1:
            self.outages.pop(0)
        else:
            self.over.set()
        if away:
            raise ConnectionRefusedError("refused")
        return self.pool.acquire()


async def test_outage_is_told_once_when_it_begins_and_once_when_it_ends(core: "Core") -> None:
    pool: Any = Intermittent(core.pool, [False, True, True, True, False, False, True])

    class OverAtTheEnd:
        async def wait(self) -> object:
            return await pool.over.wait()

    with capture_logs() as told:
        await Compactor(pool, 0.001).run(OverAtTheEnd())

    events = ["database_away", "database_back", "database_away"]
    assert [entry["event"] for entry in told] == events
    assert told[0]["error"] == "the database cannot be reached: refused"


Account: TypeAlias = tuple[str, UUID]


@dataclass
class Model:
    """The ledger as plain sets."""

    settled: dict[Account, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    reports: dict[Account, tuple[int, int, set[int]]] = field(default_factory=dict)
    redelivered: int = 0

    def settle(self, of: Account, numbers: Iterable[int], outcome: str) -> None:
        for number in sorted(set(numbers)):
            if number in self.settled[of]:
                self.redelivered += outcome != "dropped"
            else:
                self.settled[of][number] = outcome

    def terms(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        reporting = {publisher for publisher, _ in self.reports}
        for of in self.settled.keys() | self.reports.keys():
            known = self.settled[of]
            total.update(known.values())
            first, head, pending = self.reports.get(of, (None, -1, set()))
            low = min([*known, *([] if first is None else [first])], default=0)
            for number in range(low, max(head, *known, -1) + 1):
                if number not in known:
                    lost = number <= head and number not in pending
                    total["unaccounted" if lost else "in_flight"] += 1
                    total["stranded"] += not lost and of[0] not in reporting
        total["received"] = sum(total.values()) - total["control"] - total["stranded"]
        total["redelivered"] = self.redelivered
        return {name: count for name, count in total.items() if count}


accounts = st.tuples(st.sampled_from(["edge-1", "edge-2"]), st.sampled_from([EARLY, LATE]))
around = st.sampled_from([0, BLOCK - 5]).flatmap(
    lambda base: st.sets(st.integers(base, base + 12), min_size=1)
)
settling = st.tuples(
    st.just("settle"),
    accounts,
    around,
    st.sampled_from(["accepted", "duplicate", "quarantined", "control"]),
    st.sampled_from(Door),
)
reporting = st.tuples(
    st.just("report"), accounts, st.integers(0, 6), st.integers(0, 14), around, around
)
steps = st.lists(settling | reporting | st.just(("compact",)), max_size=12)


def spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    return [(number, number) for number in sorted(numbers)]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_accounting_equals_that_of_plain_sets(
    core: "Core", edge: "Edge", history: list[tuple[Any, ...]]
) -> None:
    """Each example has a workspace of its own, so that the database may be shared."""
    workspace = f"w-{uuid4()}"
    model = Model()
    for number, step in enumerate(history):
        if step[0] == "compact":
            await compact(core.pool)
            continue
        of: Account = step[1]
        sender = type(edge)(workspace, *of)
        if step[0] == "settle":
            await settle(core, sender, step[2], step[3], step[4])
            model.settle(of, step[2], step[3])
        else:
            first, head = step[2], step[2] + step[3] - 1
            pending, dropped = (set(range(first, head + 1)) & chosen for chosen in step[4:])
            await core.take(sender.checkpoint(number, first, head, spans(pending), spans(dropped)))
            model.settle(of, dropped, "dropped")
            _, highest, _ = model.reports.get(of, (first, head, pending))
            model.reports[of] = (first, max(head, highest), pending)

    found = await account(core.pool, workspace)

    assert holds(found)
    assert shown(found) == model.terms()
