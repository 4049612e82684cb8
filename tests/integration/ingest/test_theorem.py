"""The theorem: history is the set of admitted facts, and latest is its maximum.

So neither order, nor door, batching, duplication, retry or the interleaving of two handlers can
change either. Hypothesis draws all of them; the database is real.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.outcome import OutcomeKind
from core_ingest.reading import Value, of_columns, order
from core_ingest.store.database import connect
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import PROVIDER_MESSAGE

EPOCH_ID = UUID("01890000-0000-7000-8000-000000000000")
START = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
SKEW = timedelta(seconds=300)
LATE, EARLY = START + timedelta(hours=1), START - timedelta(minutes=4)
SIGNALS = {
    "soc": "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed",
    "gps": "Vehicle.CurrentLocation",
    "mode": "viriciti.mode",
}

Fact: TypeAlias = tuple[str, str, datetime, Value]
Key: TypeAlias = tuple[str, str]
Step: TypeAlias = Callable[[str], Awaitable[None]]


class Message(NamedTuple):
    """One datapoint as it is sent, and when the edge took it in."""

    vid: str
    label: str
    value: float | str
    minute: int
    received: datetime

    @property
    def observed(self) -> datetime:
        return START + timedelta(minutes=self.minute)

    @property
    def fact(self) -> Fact:
        value: Value = self.value if isinstance(self.value, str) else float(self.value)
        if self.label == "gps":
            latitude, _, longitude = str(self.value).partition("|")
            value = (float(latitude), float(longitude))
        return self.vid, SIGNALS[self.label], self.observed, value

    @property
    def admitted(self) -> bool:
        return self.observed <= self.received + SKEW


class Batch(NamedTuple):
    """What one call of the handler brings."""

    door: Door
    messages: list[Message]


class Plan(NamedTuple):
    """Two handlers' batches, and whose turn it is at each choice."""

    left: list[Batch]
    right: list[Batch]
    turns: list[bool]


numbers = st.sampled_from([50.0, 50.04, 50.08, 50.12, -0.0, 0.0])
values = {
    "soc": numbers,
    "gps": st.sampled_from(["52.1|5.1", "52.1|5.2", "52.2|5.1"]),
    "mode": numbers | st.sampled_from(["drive", "park", ""]),
}
messages = st.sampled_from(sorted(SIGNALS)).flatmap(
    lambda label: st.builds(
        Message,
        vid=st.sampled_from(["bus-1", "bus-2"]),
        label=st.just(label),
        value=values[label],
        minute=st.integers(0, 3),  # across the end of a month
        received=st.sampled_from([LATE, LATE, EARLY]),
    )
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    originals = draw(st.lists(messages, min_size=1, max_size=12))
    copies = draw(st.lists(st.sampled_from(originals), max_size=8))
    sent = draw(st.permutations(originals + copies))
    sides: tuple[list[Batch], list[Batch]] = ([], [])
    while sent:
        size = draw(st.integers(1, len(sent)))
        side = draw(st.integers(0, 1))
        sides[side].append(Batch(draw(st.sampled_from(Door)), sent[:size]))
        sent = sent[size:]
    return Plan(*sides, draw(st.lists(st.booleans(), max_size=40)))


class Turnstile:
    """Lets two handlers pass their steps one at a time, in the order that was drawn."""

    def __init__(self, turns: Sequence[bool], admin: asyncpg.Connection) -> None:
        self._turns: Iterator[bool] = iter(turns)
        self._admin = admin
        self._waiting: dict[int, asyncio.Event] = {}

    def step_of(self, side: int) -> Step:
        async def step(_name: str) -> None:
            self._waiting[side] = asyncio.Event()
            await self._waiting[side].wait()

        return step

    async def run(self, *work: Awaitable[None]) -> None:
        tasks = [asyncio.ensure_future(each) for each in work]
        while True:
            await self._settled(tasks)
            if not self._waiting:
                break
            preferred = int(next(self._turns, False))
            side = preferred if preferred in self._waiting else next(iter(self._waiting))
            self._waiting.pop(side).set()
        await asyncio.gather(*tasks)

    async def _settled(self, tasks: Sequence[asyncio.Future[None]]) -> None:
        """Return once each task stands at a step, waits for the other's lock, or is done."""
        while True:
            moving = sum(not task.done() for task in tasks) - len(self._waiting)
            if moving == 0:
                return
            if len(self._waiting) > 0 and moving == await self._blocked():
                return
            await asyncio.wait(tasks, timeout=0.001, return_when=asyncio.FIRST_COMPLETED)

    async def _blocked(self) -> int:
        return int(
            await self._admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )


class Core:
    """A database with two handlers, each on a pool of its own as in two processes."""

    def __init__(self, admin: asyncpg.Connection, pools: Sequence[asyncpg.Pool]) -> None:
        self.admin = admin
        self.pools = pools

    async def empty(self) -> None:
        await self.admin.execute(
            "TRUNCATE history, latest, settlements, dead_letters, ledger_epochs, ledger_blocks, "
            "ledger_counts, checkpoints, checkpoint_arrivals"
        )

    async def carry_out(self, plan: Plan) -> None:
        turnstile = Turnstile(plan.turns, self.admin)
        sequences = iter(range(1_000))

        async def work(side: int, batches: list[Batch]) -> None:
            handler = IngestHandler(self.pools[side], step=turnstile.step_of(side))
            for door, batch in batches:
                sent = [envelope(message, next(sequences)) for message in batch]
                await handler.handle_together(deliveries(door, sent))

        await turnstile.run(work(0, plan.left), work(1, plan.right))

    async def history(self) -> list[Fact]:
        return await self._facts("history")

    async def latest(self) -> dict[Key, tuple[datetime, Value]]:
        facts = await self._facts("latest")
        return {(vid, name): (observed, value) for vid, name, observed, value in facts}

    async def _facts(self, table: str) -> list[Fact]:
        rows = await self.admin.fetch(
            "SELECT a.external_id, s.name, f.observed, f.num, f.lon, f.text "  # noqa: S608 — our tables
            f"FROM {table} f JOIN signals s ON s.id = f.signal "
            "JOIN assets a ON (a.workspace, a.id) = (f.workspace, f.asset)"
        )
        return [(vid, name, observed, of_columns(*value)) for vid, name, observed, *value in rows]


def deliveries(door: Door, sent: Sequence[Envelope]) -> list[Delivery]:
    """What a door makes of a batch: a queue has a delivery for each of two partitions."""
    if door is not Door.KAFKA:
        return [Delivery(sent, door, Principal())]
    found: list[Delivery] = []
    for partition, vid in enumerate(("bus-1", "bus-2")):
        part = [each for each in sent if each.subject == vid]
        offsets = [each.sequence or 0 for each in part]
        found.append(Delivery(part, door, Principal(), f"kafka/topic/{partition}", offsets))
    return found


def envelope(message: Message, sequence: int) -> Envelope:
    vid, label, value, _, received = message
    payload = {
        "vid": vid,
        "label": label,
        "value": value,
        "time": round(message.observed.timestamp() * 1000),
    }
    return Envelope(
        id="copy",
        source="/viriciti/acme/buses",
        type=PROVIDER_MESSAGE,
        subject=vid,
        provider="viriciti",
        workspaceid="acme",
        receivedtime=received,
        publisherid="edge-1",
        publisherepoch=EPOCH_ID,
        sequence=sequence,
        data=json.dumps({"type": "vehicles", "payload": payload}).encode(),
    )


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Core]:
    admin = await asyncpg.connect(url)
    pools = [await connect(url, max_size=2) for _ in range(2)]
    try:
        yield Core(admin, pools)
    finally:
        for pool in pools:
            await pool.close()
        await admin.close()


@pytest.fixture
def core(database_url: str) -> Iterator[tuple[asyncio.Runner, Core]]:
    with asyncio.Runner() as runner:
        context = opened(database_url)
        yield runner, runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


def maxima(facts: set[Fact]) -> dict[Key, tuple[datetime, Value]]:
    found: dict[Key, tuple[datetime, Value]] = {}
    for vid, name, observed, value in facts:
        old = found.get((vid, name))
        if old is None or (observed, order(value)) > (old[0], order(old[1])):
            found[vid, name] = (observed, value)
    return found


def test_history_is_the_set_of_admitted_facts_and_latest_its_maximum(
    core: tuple[asyncio.Runner, Core],
) -> None:
    runner, database = core

    @settings(max_examples=120)
    @given(plans())
    def holds(plan: Plan) -> None:
        async def check() -> None:
            await database.empty()
            await database.carry_out(plan)
            sent = [message for batch in (*plan.left, *plan.right) for message in batch.messages]
            admitted = {message.fact for message in sent if message.admitted}
            history = await database.history()
            assert len(history) == len(set(history))
            assert set(history) == admitted
            assert await database.latest() == maxima(admitted)

        runner.run(check())

    holds()


def test_drift_in_small_steps_becomes_significant(core: tuple[asyncio.Runner, Core]) -> None:
    runner, database = core
    drift = [
        Message("bus-1", "soc", 50.0 + step * 0.04, step, LATE) for step in range(4)
    ]  # the deadband is 0.1 %

    async def outcomes() -> list[OutcomeKind]:
        handler = IngestHandler(database.pools[0])
        found = []
        for sequence, message in enumerate(drift):
            sent = [envelope(message, sequence)]
            found += await handler.handle(sent, door=Door.HTTP, principal=Principal())
        return [outcome.kind for outcome in found]

    assert runner.run(outcomes()) == ["accepted", "unchanged", "unchanged", "accepted"]
    assert len(runner.run(database.history())) == 4


@pytest.mark.parametrize("turns", [[False] * 40, [True] * 40, [False, True] * 20])
@pytest.mark.parametrize(("one", "other"), [(1.0, 2.0), (7.0, "drive"), ("drive", "park")])
def test_two_values_at_one_instant_end_the_same_way_round(
    core: tuple[asyncio.Runner, Core], one: float | str, other: float | str, turns: list[bool]
) -> None:
    runner, database = core
    first, second = (
        Batch(Door.HTTP, [Message("bus-1", "mode", value, 0, LATE)]) for value in (one, other)
    )
    for plan in (Plan([first], [second], turns), Plan([second], [first], turns)):
        runner.run(database.empty())
        runner.run(database.carry_out(plan))
        assert runner.run(database.latest()) == {("bus-1", "viriciti.mode"): (START, other)}
        assert len(runner.run(database.history())) == 2
