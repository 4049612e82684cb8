"""Dead letters come again through the handler: after a fix, in order, once, and as a dry run said."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from core_ingest import item as item_module
from core_ingest.dead_letters.desk import Desk, ReplayRunning, desk
from core_ingest.dead_letters.filters import Filters
from core_ingest.dead_letters.replay import Plan, Report, rehearse, replay, start
from core_ingest.dead_letters.verdicts import Tally
from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.ledger.accounting import account
from core_ingest.providers import Interpreter
from core_ingest.reading import Interpretation, Uninterpretable
from core_ingest.unreadable import UNKNOWN_WORKSPACE, Unreadable
from ingress_contracts import kafka, kinds
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import KINDS, Kind, KindRegistry, Role
from ingress_runtime import tracing
from ingress_runtime.spans import Spans

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
SECOND = timedelta(seconds=1)
ALL = Filters()
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
TABLES = (
    "workspaces", "assets", "vehicle_assets", "signals", "history", "latest", "settlements",
    "dead_letter_replays", "dead_letter_runs", "pg_inherits",
)  # fmt: skip


def broken(_data: bytes) -> Interpretation:
    """An adapter before it is fixed."""
    raise Uninterpretable("not_understood", "this adapter knows no such frame")


BROKEN: Mapping[str, Interpreter] = {"viriciti": broken}


async def fail(core: "Core", *envelopes: Envelope) -> None:
    """Have a broken adapter make dead letters of these."""
    handler = IngestHandler(core.pool, plugins=BROKEN)
    outcomes = await handler.handle(envelopes, door=Door.HTTP, principal=Principal())
    assert {outcome.kind.value for outcome in outcomes} == {"dead_lettered"}


async def rest(_seconds: float) -> None:
    """Wait for nothing."""


async def run(open_desk: Desk, plan: Plan, *, batches: int | None = None) -> Report:
    """Replay, and stop after so many batches."""
    done: list[int] = []
    begun, _ = await start(open_desk, plan, anew=False)
    return await replay(
        open_desk,
        plan,
        begun,
        clock=lambda: 0.0,
        rest=rest,
        stopped=lambda: len(done) == batches,
        told=done.append,
    )


async def replayed(
    core: "Core", filters: Filters = ALL, workspace: str = "acme", **plan: Any
) -> Tally:
    async with desk(core.pool, workspace) as open_desk:
        return (await run(open_desk, Plan(filters, **plan))).tally


async def rehearsed(core: "Core", filters: Filters = ALL, workspace: str = "acme") -> Tally:
    async with desk(core.pool, workspace) as open_desk:
        plan = Plan(filters)
        begun, _ = await start(open_desk, plan, anew=False)
        return await rehearse(open_desk, plan, begun)


async def letters(core: "Core") -> list[tuple[Any, ...]]:
    """Return (number or offset, index, reason, state, outcome, tries) by the place in the stream."""
    rows = await core.pool.fetch(
        "SELECT position, index, reason, state, outcome, tries FROM dead_letters"
        " ORDER BY lane, position, index"
    )
    return [tuple(row) for row in rows]


async def test_letters_of_a_fixed_adapter_become_the_facts_that_they_would_have_been(
    core: "Core", edge: "Edge"
) -> None:
    await fail(core, edge.frame("speed", 40.0), edge.frame("soc", 50.0), edge.frame("speed", "x"))

    tally = await replayed(core)

    assert tally == Tally(
        messages=3, outcomes={"accepted": 2, "dead_lettered": 1}, resolved=2, waiting=1
    )
    assert {fact[3] for fact in await core.history()} == {40.0, 50.0}
    first, second, third = await letters(core)
    assert first == (0, -1, "not_understood", "replayed", "accepted", 1)
    assert second == (1, -1, "not_understood", "replayed", "accepted", 1)
    assert third[0:2] == (2, -1)
    assert third[2] != "not_understood"
    assert third[3:] == ("waiting", None, 1)


async def test_a_message_that_is_replayed_goes_on_with_its_trace(
    core: "Core", edge: "Edge", monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_spans", Spans(provider, ratio=0))
    frame = edge.frame("speed", 40.0)
    await fail(core, frame.model_copy(update={"traceparent": TRACEPARENT}))

    await replayed(core)

    spans = exporter.get_finished_spans()
    assert [one.parent and f"{one.parent.trace_id:032x}" for one in spans] == [TRACE, TRACE]
    told = [dict(one.attributes or {}) for one in spans]
    assert [(one["ingress.door"], one["ingress.outcome"]) for one in told] == [
        ("http", "dead_lettered"),
        ("replay", "accepted"),
    ]


async def test_each_replay_of_a_message_is_kept_with_what_it_came_to(
    core: "Core", edge: "Edge"
) -> None:
    await fail(core, edge.frame("speed", "x"))
    await replayed(core)
    await replayed(core)

    rows = await core.pool.fetch(
        "SELECT try, outcome, reason FROM dead_letter_replays ORDER BY try"
    )
    assert [row["try"] for row in rows] == [1, 2]
    assert {row["outcome"] for row in rows} == {"dead_lettered"}
    assert {row["reason"] for row in rows} == {(await letters(core))[0][2]}
    assert (await letters(core))[0][5] == 2


async def test_resolved_letters_are_not_replayed_again(core: "Core", edge: "Edge") -> None:
    await fail(core, edge.frame("speed", 40.0))
    await replayed(core)
    before = await letters(core)

    assert await replayed(core) == Tally()
    assert await letters(core) == before


async def test_replay_keeps_the_order_of_each_vehicle_whatever_the_order_of_arrival(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at), NOON + at * SECOND) for at in range(12)]
    older = edge.frame("speed", 99.0, NOON - SECOND)
    older = older.model_copy(update={"publisherepoch": UUID(int=EPOCH.int - 1), "sequence": 10**18})
    for frame in (frames[10], frames[2], frames[11], older, *frames[3:10], frames[0], frames[1]):
        await fail(core, frame)

    tally = await replayed(core, size=5)

    assert tally.outcomes == {"accepted": 13}  # none is stale: each is newer than the one before


async def test_dry_run_says_what_the_replay_then_does_and_leaves_nothing_behind(
    core: "Core", edge: "Edge"
) -> None:
    await core.take(edge.frame("speed", 40.0, NOON))
    await fail(
        core,
        edge.frame("speed", 40.0, NOON),
        edge.frame("speed", 41.0, NOON),
        edge.frame("speed", 39.0, NOON - SECOND),
        edge.frame("speed", 50.0, datetime(2019, 3, 1, tzinfo=UTC), "new bus"),
        edge.frame("brand_new", 1.0, NOON, "new bus"),
        edge.frame("speed", 50.0, NOON, "new bus", received=NOON - timedelta(hours=1)),
        edge.frame("speed", "x"),
    )
    before = {table: await core.count(table) for table in TABLES}, await letters(core)

    said = await rehearsed(core)

    assert ({table: await core.count(table) for table in TABLES}, await letters(core)) == before
    assert said.outcomes == {
        "accepted": 2, "conflict": 1, "dead_lettered": 1, "duplicate": 1, "quarantined": 1,
        "stale": 1,
    }  # fmt: skip
    assert await replayed(core, size=2) == said


async def test_readings_of_one_message_are_one_replay_and_each_letter_gets_its_own_end(
    core: "Core", edge: "Edge"
) -> None:
    late = NOON + timedelta(hours=2)
    message = edge.canonical(
        ("Vehicle.Speed", NOON, 40.0),
        ("Vehicle.Speed", late, 41.0),
        ("geotab.note", NOON, "é" * 200),
    )
    assert await core.take(message) == ["accepted"]
    assert [found[:2] for found in await letters(core)] == [(0, 1), (0, 2)]
    await core.pool.execute("UPDATE ingest_limits SET skew_seconds = 9000")

    tally = await replayed(core)

    assert tally == Tally(messages=1, outcomes={"accepted": 1}, resolved=1, waiting=1)
    found = await letters(core)
    assert [each[3:] for each in found] == [("replayed", "accepted", 1), ("waiting", None, 1)]
    assert {fact[2] for fact in await core.history()} == {NOON, late}


async def test_whole_letter_is_resolved_where_only_readings_of_it_are_bad_and_those_wait(
    core: "Core", edge: "Edge"
) -> None:
    message = edge.canonical(("Vehicle.Speed", NOON, 40.0), ("geotab.note", NOON, "é" * 200))
    unknown = message.model_copy(update={"type": "telematics.canonical.update.v2"})
    assert await core.take(unknown) == ["dead_lettered: unknown_version"]
    registry = KindRegistry(tuple(KINDS))
    registry.register(
        Kind("telematics.canonical.update.v2", Role.DATA, numbered=True, body=None, upcast=bytes)
    )

    assert (await replayed(core)).outcomes == {"dead_lettered": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_module, "KINDS", registry)
        patch.setattr(item_module, "CANONICAL_UPDATE", "telematics.canonical.update.v2")
        tally = await replayed(core)

    assert tally == Tally(messages=1, outcomes={"accepted": 1}, resolved=1, waiting=0)
    whole, reading = await letters(core)
    assert whole[1:] == (-1, "unknown_version", "replayed", "accepted", 2)
    assert reading[1:2] + reading[3:] == (1, "waiting", None, 0)


async def test_replay_settles_nothing_twice_and_is_told_apart_in_the_ledger(
    core: "Core", edge: "Edge"
) -> None:
    await fail(core, edge.frame("speed", 40.0), edge.frame("soc", 50.0))
    await core.take(edge.checkpoint(1))
    before = await core.accounted()

    await replayed(core)

    after = await core.accounted()
    assert before == {"received": 2, "dead_lettered": 2}
    assert after == before | {"redelivered": 2}
    rows = await core.pool.fetch(
        "SELECT door, outcome, settled, redelivered FROM ledger_counts ORDER BY door"
    )
    assert [tuple(row) for row in rows] == [
        ("http", "dead_lettered", 2, 0),
        ("replay", "accepted", 0, 2),
    ]


async def test_report_of_a_message_that_no_way_took_is_not_replayed_and_said_so(
    core: "Core", edge: "Edge"
) -> None:
    edge.sequence = 1
    await core.take(edge.undeliverable(0))
    await fail(core, edge.frame("speed", 40.0))

    said, tally = await rehearsed(core), await replayed(core)

    assert said == tally
    assert tally == Tally(messages=1, outcomes={"accepted": 1}, resolved=1, without_data=1)
    assert {each[3] for each in await letters(core)} == {"waiting", "replayed"}


def record_of(
    envelope: Envelope, *, without: str | None = None, key: bytes | None = None
) -> Unreadable:
    """Return the envelope as a record that is none, since a header is missing or not UTF-8."""
    sent = kafka.encode(envelope)
    headers: list[tuple[str, bytes | None]] = [
        (name, value) for name, value in sent.headers if name != without
    ]
    claim = kafka.claim(headers)
    return Unreadable(
        "missing_attribute", f"{without}: Field required", sent.value, key, headers,
        claim.workspaceid, claim.publisherid, claim.publisherepoch, claim.sequence,
        claim.receivedtime,
    )  # fmt: skip


async def keep(core: "Core", *records: Unreadable, first: int = 100) -> None:
    offsets = range(first, first + len(records))
    await core.handler.handle_together(
        [Delivery(records, Door.KAFKA, Principal(), "kafka/telematics.ingress/0", offsets)]
    )


async def test_records_that_were_no_envelopes_are_decoded_anew_from_headers_and_key(
    core: "Core", edge: "Edge"
) -> None:
    frames = [edge.frame("speed", float(at), NOON + at * SECOND) for at in range(3)]
    bad = [record_of(frame, key=b"\xff\x00") for frame in frames]  # good to this version's decoder
    await keep(core, bad[2], bad[0], record_of(frames[1], without="ce_id"))

    tally = await replayed(core, size=1)

    assert tally == Tally(
        messages=3, outcomes={"accepted": 2, "dead_lettered": 1}, resolved=2, waiting=1
    )
    found = await letters(core)
    assert [each[0] for each in found] == [0, 1, 2]  # by number, not by offset
    assert [each[3] for each in found] == ["replayed", "waiting", "replayed"]
    assert {fact[3] for fact in await core.history()} == {0.0, 2.0}
    assert (await core.accounted())["dead_lettered"] == 3


async def test_record_that_named_no_workspace_moves_to_the_one_that_it_names_now(
    core: "Core", edge: "Edge"
) -> None:
    good, unknown = edge.frame("speed", 40.0), edge.envelope("telematics.else.thing.v1", b"")
    records = []
    for envelope in (good, unknown):
        record = record_of(envelope)
        records.append(
            Unreadable(record.reason, record.detail, record.data, record.key, record.headers)
        )
    await keep(core, *records)

    tally = await replayed(core, workspace=UNKNOWN_WORKSPACE)

    assert tally == Tally(messages=2, outcomes={"accepted": 1, "dead_lettered": 1}, resolved=2)
    rows = await core.pool.fetch(
        "SELECT w.name, d.state, d.outcome, d.reason FROM dead_letters d"
        " JOIN workspaces w ON w.id = d.workspace ORDER BY w.name, d.origin"
    )
    assert [tuple(row) for row in rows] == [
        (UNKNOWN_WORKSPACE, "replayed", "accepted", "missing_attribute"),
        (UNKNOWN_WORKSPACE, "replayed", "dead_lettered", "missing_attribute"),
        ("acme", "waiting", None, "unknown_type"),
    ]


async def test_unnumbered_record_is_replayed_by_the_partition_that_it_came_by(
    core: "Core", edge: "Edge"
) -> None:
    edge.sequence = 2
    routes = [{"door": "kafka", "topic": "telematics.ingress", "partitions": 1}]
    checkpoint = edge.checkpoint(1, routes=routes)
    await keep(core, record_of(checkpoint))
    assert (await account(core.pool, "acme")).unaccounted == 0

    assert (await replayed(core)).outcomes == {"control": 1}
    assert (await account(core.pool, "acme")).unaccounted == 2


@pytest.mark.parametrize("step", ["stored", "committed"])
async def test_replay_that_dies_goes_on_where_it_was_and_does_nothing_twice(
    core: "Core", edge: "Edge", step: str
) -> None:
    await fail(
        core,
        edge.frame("speed", "x"),
        *(edge.frame("speed", float(at), NOON + at * SECOND) for at in range(9)),
    )
    passed = []

    async def die(name: str) -> None:
        if name == step:
            passed.append(name)
            if len(passed) == 2:
                raise KeyboardInterrupt

    plan = Plan(ALL, size=4)
    with pytest.raises(KeyboardInterrupt):
        async with desk(core.pool, "acme", step=die) as open_desk:
            await run(open_desk, plan)
    dead = await letters(core)
    done = 4 if step == "stored" else 8
    assert [each[5] for each in dead] == [1] * done + [0] * (10 - done)

    async with desk(core.pool, "acme") as open_desk:
        begun, remaining = await start(open_desk, plan, anew=False)
        assert (begun.handled, remaining.messages) == (done, 10 - done)
        report = await run(open_desk, plan)

    assert report.tally.messages == 10 - done
    assert (report.complete, report.left) == (True, (1, 1))
    assert [each[5] for each in await letters(core)] == [1] * 10
    assert await core.count("history") == 9
    assert await core.count("dead_letter_runs") == 0


async def test_replay_that_is_asked_to_stop_ends_between_batches_and_another_begins_anew(
    core: "Core", edge: "Edge"
) -> None:
    await fail(core, *(edge.frame("speed", "x") for _ in range(5)))
    plan = Plan(ALL, size=2)
    async with desk(core.pool, "acme") as open_desk:
        report = await run(open_desk, plan, batches=1)
        begun, remaining = await start(open_desk, plan, anew=True)

    assert (report.complete, report.tally.messages) == (False, 2)
    assert (begun.handled, remaining.messages) == (0, 5)
    assert await replayed(core, size=2) == Tally(
        messages=5, outcomes={"dead_lettered": 5}, waiting=5
    )


async def test_replay_takes_no_more_messages_than_its_limit_also_over_an_interruption(
    core: "Core", edge: "Edge"
) -> None:
    await fail(core, *(edge.frame("speed", float(at)) for at in range(7)))
    plan = Plan(ALL, limit=5, size=2)
    async with desk(core.pool, "acme") as open_desk:
        await run(open_desk, plan, batches=1)
        report = await run(open_desk, plan)

    assert (report.complete, report.tally.messages, report.left.messages) == (True, 3, 2)


async def test_letters_that_come_during_a_replay_are_left_for_the_next_one(
    core: "Core", edge: "Edge"
) -> None:
    await fail(core, edge.frame("speed", 40.0))
    plan = Plan(ALL)
    async with desk(core.pool, "acme") as open_desk:
        begun, _ = await start(open_desk, plan, anew=False)
        await fail(core, edge.frame("speed", 41.0))
        batch = await open_desk.batch(ALL, begun.cursor, 10)

    assert len(batch) == 1


async def test_one_replay_at_a_time_in_a_workspace(core: "Core", edge: "Edge") -> None:
    await fail(core, *(edge.frame("speed", float(at)) for at in range(20)))
    refused = []

    async def one() -> Tally:
        try:
            return await replayed(core, size=1)
        except ReplayRunning:
            refused.append(1)
            return Tally()

    tallies = await asyncio.gather(one(), one(), one())

    assert sum(tally.messages for tally in tallies) == 20
    assert {each[5] for each in await letters(core)} == {1}
    assert len(refused) == 2
    assert await replayed(core) == Tally()  # the lock is gone with the session


async def test_letters_that_somebody_resolves_meanwhile_are_not_replayed(
    core: "Core", edge: "Edge"
) -> None:
    await fail(core, edge.frame("speed", 40.0))
    async with desk(core.pool, "acme") as open_desk:
        batch = await open_desk.batch(ALL, await open_desk.begin(), 10)
        await core.pool.execute(
            "UPDATE dead_letters SET state = 'discarded', resolved = now(), note = 'by hand'"
        )
        with pytest.raises(Exception, match="somebody changed these dead letters"):
            await open_desk.replay(batch)

    assert await core.count("history") == 0


async def test_envelope_from_a_clock_ahead_waits_on_and_holds_up_nobody(
    core: "Core", edge: "Edge"
) -> None:
    ahead = datetime.now(UTC) + timedelta(days=2)
    first, second = edge.frame("speed", 40.0), edge.frame("soc", 50.0, received=ahead)
    route = "kafka/telematics.ingress/0"
    handler = IngestHandler(core.pool, plugins=BROKEN)
    delivery = Delivery([first, second], Door.KAFKA, Principal(), route, [1, 2])
    await handler.handle_together([delivery])

    assert (await replayed(core)).outcomes == {"accepted": 1, "dead_lettered": 1}
    assert [each[2:4] for each in await letters(core)] == [
        ("not_understood", "replayed"), ("clock_ahead", "waiting"),
    ]  # fmt: skip


async def test_control_message_that_could_not_be_read_settles_what_it_reports_on(
    core: "Core", edge: "Edge"
) -> None:
    edge.sequence = 1
    report = edge.undeliverable(0)
    newer = report.model_copy(update={"type": "telematics.publisher.undeliverable.v2"})
    await core.take(newer)
    registry = KindRegistry(tuple(KINDS))
    body = KINDS.resolve(kinds.UNDELIVERABLE).body
    registry.register(Kind(newer.type, Role.CONTROL, numbered=True, body=body, upcast=bytes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_module, "KINDS", registry)
        assert (await replayed(core)).outcomes == {"control": 1}

    assert [each[:4] for each in await letters(core)] == [
        (1, -1, "too_large", "waiting"), (1, -1, "unknown_version", "replayed"),
    ]  # fmt: skip
