"""Bad messages in the handler, on a real database: their neighbours do not feel them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from core_ingest.door import Door, Principal
from core_ingest.errors import ClockAhead
from core_ingest.handler import IngestHandler
from core_ingest.ledger.accounting import account
from core_ingest.store.database import connect

if TYPE_CHECKING:
    from core_ingest.reading import Interpretation
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANYBODY = Principal()
GREATEST = 2**63 - 1


async def statements(
    url: str, edge: "Edge", vehicle: str, dated: Callable[[int], datetime]
) -> list[str]:
    """Return what a new process sends for a thousand readings of a new vehicle."""
    log: list[str] = []

    def note(record: Any) -> None:
        log.append(record.query)

    frames = [
        edge.frame("speed", float(at), dated(at), vehicle, received=NOON + at * SECOND)
        for at in range(1_000)
    ]
    pool = await connect(url, min_size=1, max_size=1)  # one connection serves it all
    try:
        async with pool.acquire() as connection:
            connection.add_query_logger(note)
        await IngestHandler(pool).handle(frames, door=Door.HTTP, principal=ANYBODY)
        async with pool.acquire() as connection:
            connection.remove_query_logger(note)
    finally:
        await pool.close()
    return log


def hostile(at: int) -> datetime:
    """Return a date of the future, or of before there were partitions; of another month each."""
    year = 2030 + at if at % 2 else 2_014 - at
    return datetime(year, 1 + at % 12, 1 + at % 28, tzinfo=UTC) + at * SECOND


async def test_thousand_hostile_dates_of_a_new_vehicle_take_no_more_than_ordinary_ones(
    core: "Core", edge: "Edge", database_url: str
) -> None:
    await core.take(edge.frame("speed", 1.0, datetime(2010, 1, 1, tzinfo=UTC)))

    usual = await statements(database_url, edge, "bus_2", lambda at: NOON + at * SECOND)
    hostile_ones = await statements(database_url, edge, "bus_3", hostile)

    assert 5 < len(hostile_ones) <= len(usual)
    made = await core.pool.fetch("SELECT relname FROM pg_class WHERE relname ~ '^history_[0-9_]+$'")
    assert [row["relname"] for row in made] == ["history_2026_01"]
    assert await core.count("history_before_2015") == 1 + 500
    assert await core.count("dead_letters") == 500


async def test_defect_of_an_interpreter_is_a_dead_letter_and_holds_up_nobody(
    core: "Core", edge: "Edge"
) -> None:
    def defective(_data: bytes) -> "Interpretation":
        raise ZeroDivisionError("with the secret of somebody")

    plugins = {"viriciti": defective}
    handler = IngestHandler(core.pool, plugins=plugins)
    batch = [edge.canonical(("Vehicle.Speed", NOON, 1.0)), edge.frame("speed", 2.0)]

    outcomes = await handler.handle(batch, door=Door.HTTP, principal=ANYBODY)

    assert [(outcome.kind.value, outcome.reason) for outcome in outcomes] == [
        ("accepted", None),
        ("dead_lettered", "interpreter_failed"),
    ]
    (letter,) = await core.pool.fetch("SELECT detail, data FROM dead_letters")
    assert letter["detail"] == (
        "ZeroDivisionError in the interpreter of 'viriciti': mend it, then replay this message"
    )
    assert letter["data"] == batch[1].data


@pytest.mark.parametrize("already", [[], [(0, 0)]])
async def test_publisher_that_drops_every_number_there_is_stops_nobodys_ledger(
    core: "Core", edge: "Edge", already: list[tuple[int, int]]
) -> None:
    await core.take(edge.checkpoint(1, head=GREATEST, dropped=already))
    await account(core.pool, "acme")
    await core.take(edge.checkpoint(2, head=GREATEST, dropped=[(0, GREATEST)]))
    neighbour = type(edge)(workspace="other")
    await core.take(neighbour.frame("speed", 1.0))

    accounting = await account(core.pool, "other")

    assert (accounting.received, accounting.accepted) == (1, 1)
    assert (await account(core.pool, "acme")).dropped == GREATEST


async def test_clock_ahead_is_told_of_the_furthest_stamp(core: "Core", edge: "Edge") -> None:
    hours = [timedelta(hours=number) for number in (0, 2, 5, 3)]
    now = datetime.now(UTC)
    batch = [edge.frame("speed", 1.0, received=now + ahead) for ahead in hours]

    with pytest.raises(ClockAhead) as caught:
        await core.take(*batch)

    assert 4.9 < caught.value.ahead_seconds / 3_600 < 5.1
    assert await core.count("history") == 0
