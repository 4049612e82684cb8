"""What core's accounting shows of a journal that dropped records, or lost some."""

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import asyncpg
import pytest

from core_ingest.door import Door, Principal
from core_ingest.handler import IngestHandler
from core_ingest.ledger.accounting import Accounting, account
from core_ingest.store.database import connect
from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from telematics_publisher.delivery import Delivery
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.limits import Limits, Policy
from telematics_publisher.records import Envelopes, Lane, Record
from telematics_publisher.sender import Pace, Sender
from telematics_publisher.transport import Refusal

pytestmark = pytest.mark.anyio
PAGE = 4_096
Fleet = Callable[[int], list[Record]]


class Straight:
    """A transport that hands envelopes to core's handler."""

    name = "straight"
    copies: Sequence[Route] = ()

    async def routes(self) -> Sequence[Route]:
        return (Route(door="http"),)

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.handler = IngestHandler(pool)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        await self.handler.handle(batch, door=Door.HTTP, principal=Principal("acme", "edge-1"))
        return []

    async def aclose(self) -> None:
        pass


@pytest.fixture
async def pool(anyio_backend: str, database_url: str) -> AsyncIterator[asyncpg.Pool]:  # noqa: ARG001 — makes the fixture asynchronous
    opened = await connect(database_url, min_size=1, max_size=2)
    yield opened
    await opened.close()


@pytest.fixture
def transport(pool: asyncpg.Pool) -> Straight:
    return Straight(pool)


@pytest.fixture
def fleet(lane: Lane) -> Fleet:
    """Makes frames that core accepts, each with a value of its own."""
    begin = time.time_ns() // 1_000_000_000 * 1_000 - 3_600_000

    def frame(number: int) -> Record:
        time_ = begin + number * 1_000
        payload = {"vid": "bus_1", "label": "odo", "value": 1_000 + number, "time": time_}
        data = json.dumps({"type": "vehicles", "payload": payload}).encode()
        return Record(lane, time_ * 1_000, "bus_1", data)

    return lambda count: [frame(number) for number in range(count)]


async def opened(path: Path, limits: Limits | None = None) -> Journal:
    return await Journal.open(
        path, workspace="acme", publisher="edge-1", limits=limits or Limits(2**30)
    )


def sender(journal: Journal, transport: Straight) -> Sender:
    return Sender(Delivery(journal, transport), Envelopes("acme", "edge-1"), pace=Pace(window=1))


async def drained(journal: Journal, transport: Straight) -> None:
    sending = sender(journal, transport)
    sending.drain(1e9)
    await sending.run()
    await journal.close()


async def shown(pool: asyncpg.Pool) -> Accounting:
    found = await account(pool, "acme")
    terms = (
        found.accepted, found.unchanged, found.stale, found.duplicate, found.conflict, found.empty,
        found.quarantined, found.dead_lettered, found.dropped, found.in_flight, found.unaccounted,
    )  # fmt: skip
    assert found.received == sum(terms)
    return found


def strike(path: Path) -> None:
    """Overwrite a page in the middle, which holds records."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // PAGE * PAGE)
        file.write(b"\xff" * PAGE)


async def test_what_a_policy_dropped_is_settled_as_dropped(
    tmp_path: Path, pool: asyncpg.Pool, transport: Straight, fleet: Fleet
) -> None:
    path = tmp_path / "a.journal"
    limits = Limits(2**18, policy=Policy.DROP_OLDEST)
    journal = await opened(path, limits)
    for record in range(0, 3_000, 100):
        await journal.append(fleet(3_000)[record : record + 100])
    _, (epoch,) = await journal.checkpoint()
    ((first, last),) = epoch.dropped
    await journal.close()  # what was dropped is told by the next process
    await drained(await opened(path, limits), transport)
    found = await shown(pool)
    assert found.dropped == last - first + 1 > 500
    assert found.accepted == 3_000 - found.dropped
    assert (found.received, found.in_flight, found.unaccounted) == (3_000, 0, 0)


async def test_what_a_damaged_page_held_is_unaccounted_unless_core_has_it(
    tmp_path: Path, pool: asyncpg.Pool, transport: Straight, fleet: Fleet
) -> None:
    path = tmp_path / "a.journal"
    journal = await opened(path)
    await journal.append(fleet(2_000))
    await sender(journal, transport).checkpoint()
    assert (await shown(pool)).in_flight == 2_000
    await journal.close()
    strike(path)
    journal = await opened(path)
    lost = 2_000 - journal.pending
    assert 0 < lost < 100
    await drained(journal, transport)
    found = await shown(pool)
    assert (found.received, found.accepted) == (2_000, 2_000 - lost)
    assert (found.unaccounted, found.in_flight, found.dropped) == (lost, 0, 0)


async def test_what_core_has_already_is_not_lost_with_the_page(
    tmp_path: Path, pool: asyncpg.Pool, transport: Straight, fleet: Fleet
) -> None:
    path = tmp_path / "a.journal"
    journal = await opened(path)
    await journal.append(fleet(2_000))
    envelopes = Envelopes("acme", "edge-1")
    await transport.publish([envelopes.of(one) for one in await journal.take(0, 2_000, 2**30)])
    await journal.close()  # killed before it could note the answer
    strike(path)
    await drained(await opened(path), transport)
    found = await shown(pool)
    assert (found.received, found.accepted, found.unaccounted) == (2_000, 2_000, 0)


async def test_numbers_of_a_journal_that_is_gone_are_stranded_though_its_publisher_goes_on(
    tmp_path: Path, pool: asyncpg.Pool, transport: Straight, fleet: Fleet
) -> None:
    path = tmp_path / "a.journal"
    journal = await opened(path)
    await journal.append(fleet(100))
    await sender(journal, transport).checkpoint()
    await journal.close()
    path.write_bytes(b"garbage" * 1_000)
    await shown(pool)  # folds that checkpoint
    await pool.execute("UPDATE ledger_epochs SET reported = now() - interval '1 hour'")
    journal = await opened(path)
    await journal.append(fleet(150)[100:])
    await drained(journal, transport)
    found = await shown(pool)
    assert (found.accepted, found.in_flight, found.stranded) == (50, 100, 100)


async def test_a_head_that_falls_leaves_the_lost_numbers_unaccounted(
    tmp_path: Path, pool: asyncpg.Pool, transport: Straight, fleet: Fleet
) -> None:
    """A log that was cut off: the file is sound, and knows nothing of its last commits."""
    path = tmp_path / "a.journal"
    journal = await opened(path)
    await journal.append(fleet(60))
    earlier = path.read_bytes(), path.with_name("a.journal-wal").read_bytes()
    await journal.append(fleet(100)[60:])
    await sender(journal, transport).checkpoint()
    await shown(pool)
    await journal.close()
    path.write_bytes(earlier[0])
    path.with_name("a.journal-wal").write_bytes(earlier[1])
    await drained(await opened(path), transport)
    found = await shown(pool)
    assert (found.received, found.accepted, found.unaccounted) == (100, 60, 40)
