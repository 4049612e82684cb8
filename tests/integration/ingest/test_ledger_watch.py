"""The gauges of the ledger: of all workspaces, and never the end of the loop that sets them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from core_ingest.ledger.compactor import compact
from core_ingest.ledger.watch import REASONS, Watch

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

SECONDS = 15.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(core: "Core", clock: Clock) -> Watch:
    return Watch(core.pool, SECONDS, clock=clock, wall=lambda: clock.now + 1e9)


def gauge(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"core_ingest_{name}")


def terms() -> dict[str, float | None]:
    names = ("unaccounted", "stranded", "in_flight")
    return {name: gauge(f"{name}_messages") for name in names}


def waiting() -> dict[str, float]:
    """Return the dead letters that wait, by reason."""
    return {
        sample.labels["reason"]: sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "core_ingest_dead_letters_waiting"
    }


async def add_letters(core: "Core", reasons: Iterable[tuple[str, int]]) -> None:
    """Make so many dead letters of each reason."""
    for reason, number in reasons:
        await core.pool.execute(
            "INSERT INTO dead_letters (workspace, origin, index, reason, detail, door, attributes, data)"
            " SELECT w.id, 'p/e-' || $1 || '/' || n, -1, $1, '', 'http', '{}', ''"
            " FROM workspaces w, generate_series(1, $2::int) AS n WHERE w.name = 'acme'",
            reason,
            number,
        )


async def test_gauges_are_the_sums_of_all_workspaces(
    core: "Core", edge: "Edge", watch: Watch
) -> None:
    other = type(edge)("other", "edge-2")
    await core.settle(edge, [0, 1, 5])
    await core.take(edge.checkpoint(1, head=5, pending=[(2, 3)]))
    await core.settle(other, [0, 3])
    await compact(core.pool)
    one, two = await core.accounted(), await core.accounted("other")

    await watch.look()

    assert terms() == {"unaccounted": 1, "stranded": 2, "in_flight": 4}
    assert one["unaccounted"] == 1
    assert one["in_flight"] == two["in_flight"] == two["stranded"] == 2
    assert gauge("ledger_looked_timestamp_seconds") == 1e9 + 1_000


async def test_what_is_settled_later_leaves_the_gauges(
    core: "Core", edge: "Edge", watch: Watch, clock: Clock
) -> None:
    await core.settle(edge, [0, 3])
    await core.take(edge.checkpoint(1, head=3, pending=[(1, 1)]))
    await compact(core.pool)
    await watch.look()
    assert terms() == {"unaccounted": 1, "stranded": 0, "in_flight": 1}

    await core.settle(edge, [1, 2])
    await compact(core.pool)
    clock.now += SECONDS
    await watch.look()

    assert terms() == {"unaccounted": 0, "stranded": 0, "in_flight": 0}


async def test_more_epochs_than_are_read_at_once_are_all_counted(
    core: "Core", edge: "Edge", watch: Watch
) -> None:
    for number in range(230):
        await core.settle(type(edge)(epoch=UUID(int=number)), [0, 2 + number % 2])
    await compact(core.pool)

    await watch.look()

    assert terms()["in_flight"] == 115 * 1 + 115 * 2


async def test_looks_keep_their_distance(watch: Watch, clock: Clock) -> None:
    await watch.look()
    clock.now += SECONDS - 1
    await watch.look()
    assert gauge("ledger_looked_timestamp_seconds") == 1e9 + 1_000

    clock.now += 1
    await watch.look()
    assert gauge("ledger_looked_timestamp_seconds") == 1e9 + 1_000 + SECONDS


async def test_rows_that_wait_for_the_compactor_are_counted_and_what_it_folds(
    core: "Core", edge: "Edge", watch: Watch, clock: Clock
) -> None:
    await core.settle(edge, [0])
    await core.settle(edge, [1])
    await watch.look()
    assert gauge("settlement_rows_waiting") == 2
    folded = gauge("settlement_rows_folded_total") or 0.0

    await compact(core.pool)

    assert gauge("settlement_rows_folded_total") == folded + 2
    clock.now += SECONDS
    await watch.look()
    assert gauge("settlement_rows_waiting") == 0


async def test_letters_that_wait_are_counted_by_reason_until_they_are_resolved(
    core: "Core", edge: "Edge", watch: Watch, clock: Clock
) -> None:
    await core.take(edge.frame("speed", "fast"), edge.frame("odo", {}))
    await add_letters(core, [("strange", 3)])
    await watch.look()
    found = waiting()
    assert found["strange"] == 3
    assert found["other"] == 0
    assert sum(found.values()) == await core.count("dead_letters")

    await core.pool.execute(
        "UPDATE dead_letters SET state = 'discarded', resolved = now(), note = 'seen'"
    )
    clock.now += SECONDS
    await watch.look()

    assert waiting() == {"other": 0}


async def test_reasons_beyond_the_most_frequent_are_other(
    core: "Core", edge: "Edge", watch: Watch, clock: Clock
) -> None:
    await core.take(edge.frame("speed", 1.0))
    await add_letters(core, [(f"reason_{number:02}", 100 - number) for number in range(50)])
    await add_letters(core, [("other", 500)])
    await watch.look()
    found = waiting()
    assert set(found) == {"other", *(f"reason_{number:02}" for number in range(REASONS))}
    assert found["reason_00"] == 100
    assert found["other"] == 500 + sum(100 - number for number in range(REASONS, 50))

    await add_letters(core, [("sudden", 1_000)])
    clock.now += SECONDS
    await watch.look()

    found = waiting()
    assert found["sudden"] == 1_000
    assert len(found) == REASONS + 1
    assert sum(found.values()) == await core.count("dead_letters")


class Away:
    """A pool that has no connection, or breaks otherwise."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def acquire(self) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [(ConnectionRefusedError("refused"), []), (KeyError("a defect"), ["ledger_look_failed"])],
)
async def test_look_that_fails_leaves_the_values_and_their_time_and_the_next_one_tries_again(  # noqa: PLR0917 — fixtures
    core: "Core", edge: "Edge", watch: Watch, clock: Clock, error: Exception, told: list[str]
) -> None:
    await core.settle(edge, [0, 3])
    await compact(core.pool)
    await watch.look()
    pool: Any = Away(error)
    broken = Watch(pool, SECONDS, clock=clock, wall=lambda: 0.0)

    with capture_logs() as log:
        await broken.look()

    assert [entry["event"] for entry in log] == told
    assert terms()["in_flight"] == 2
    assert gauge("ledger_looked_timestamp_seconds") == 1e9 + 1_000
    broken._pool = core.pool
    clock.now += SECONDS
    await broken.look()
    assert gauge("ledger_looked_timestamp_seconds") == 0.0
