"""Dead letters are found by every property that they have, shown whole, and discarded with a reason."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from core_ingest.dead_letters.desk import desk
from core_ingest.dead_letters.filters import Filters, Grouping, LetterCursor, State
from core_ingest.dead_letters.letters import Letter
from core_ingest.dead_letters.store import DeadLetters, NoSuchLetter, NoSuchWorkspace
from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery
from core_ingest.unreadable import Unreadable
from ingress_contracts import kinds

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

EPOCH = UUID("01930000-0000-7000-8000-000000000001")


async def found(core: "Core", workspace: str | None = "acme", **filters: Any) -> list[Letter]:
    """Return all letters that are found, read a page of one after the other."""
    letters: list[Letter] = []
    after: LetterCursor | None = LetterCursor()
    while after is not None:
        page = await DeadLetters(core.pool).page(
            workspace, Filters(**filters), after=after, limit=1
        )
        letters += page.letters
        after = None if page.next is None else LetterCursor.read(page.next)
    return letters


async def numbers(core: "Core", workspace: str | None = "acme", **filters: Any) -> list[str]:
    letters = await found(core, workspace, **filters)
    return [letter.origin.rpartition("/")[2] for letter in letters]


def garbage(*headers: tuple[str, bytes | None]) -> Unreadable:
    return Unreadable(
        "missing_attribute", "id: Field required", b"\x00\xff", b"\xfekey", headers, "acme"
    )


@pytest.fixture
async def letters(core: "Core", edge: "Edge") -> None:
    """Three letters by HTTP, of two reasons and two providers, then one by Kafka; one of others."""
    await core.take(edge.frame("speed", "x"))
    await core.take(edge.envelope(kinds.PROVIDER_MESSAGE, b"not json"))
    await core.take(edge.envelope(kinds.CANONICAL_UPDATE, b"{}", provider="geotab"))
    headers = [("ce_provider", b"samsara"), ("ce_publisherid", b"edge-9"), ("ce_id", b"\xff")]
    await core.handler.handle_together(
        [Delivery([garbage(*headers)], Door.KAFKA, Principal(), "kafka/telematics.ingress/0", [77])]
    )
    other = edge.frame("speed", "x").model_copy(
        update={"workspaceid": "other", "publisherid": "edge-2", "sequence": 9}
    )
    await core.take(other)


@pytest.mark.usefixtures("letters")
async def test_letters_are_found_by_each_property_oldest_first(core: "Core") -> None:
    everything = await found(core)
    reasons = [letter.reason for letter in everything]
    times = [letter.dead_lettered for letter in everything]

    assert [letter.origin.rpartition("/")[2] for letter in everything] == ["0", "1", "2", "77"]
    assert times == sorted(times)
    assert await numbers(core, reason=reasons[1]) == ["1"]
    assert await numbers(core, provider="geotab") == ["2"]
    assert await numbers(core, provider="samsara") == ["77"]
    assert await numbers(core, publisher="edge-9") == ["77"]
    assert await numbers(core, publisher="edge-1") == ["0", "1", "2"]
    assert await numbers(core, door="kafka") == ["77"]
    assert await numbers(core, origin="telematics.ingress/0/77") == ["77"]
    assert await numbers(core, since=times[1], until=times[3]) == ["1", "2"]
    assert await numbers(core, state=State.REPLAYED) == []
    assert await numbers(core, state=None) == ["0", "1", "2", "77"]
    assert await numbers(core, workspace="other") == ["9"]
    assert await numbers(core, workspace=None) == ["0", "1", "2", "77", "9"]
    assert await numbers(core, provider="viriciti", door="kafka") == []


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    ("by", "counts"),
    [
        (Grouping.PROVIDER, {"viriciti": 2, "geotab": 1, "samsara": 1}),
        (Grouping.PUBLISHER, {"edge-1": 3, "edge-9": 1}),
        (Grouping.DOOR, {"http": 3, "kafka": 1}),
        (Grouping.STATE, {"waiting": 4}),
    ],
)
async def test_letters_are_counted_by_what_is_asked(
    core: "Core", by: Grouping, counts: dict[str, int]
) -> None:
    rows = await DeadLetters(core.pool).counts("acme", Filters(), by)

    assert {row.value: row.letters for row in rows} == counts
    assert [row.letters for row in rows] == sorted(counts.values(), reverse=True)
    assert all(row.oldest <= row.newest for row in rows)


@pytest.mark.usefixtures("letters")
async def test_a_message_is_shown_with_all_that_is_kept_of_it(core: "Core") -> None:
    store = DeadLetters(core.pool)

    envelope = await store.message("acme", f"edge-1/{EPOCH}/1")
    record = await store.message("acme", "telematics.ingress/0/77")

    assert (envelope.data, envelope.data_base64) == ("not json", None)
    assert envelope.attributes["publisherid"] == "edge-1"
    assert envelope.attributes["sequence"] == 1
    assert [(letter.index, letter.tries) for letter in envelope.letters] == [(-1, 0)]
    assert (record.data, record.data_base64) == (None, "AP8=")
    assert record.attributes["headers"][0] == ["ce_provider", "samsara"]


@pytest.mark.usefixtures("letters")
async def test_what_is_not_there_is_said(core: "Core") -> None:
    store = DeadLetters(core.pool)

    with pytest.raises(NoSuchLetter):
        await store.message("acme", "edge-1/none/0")
    with pytest.raises(NoSuchWorkspace):
        await store.page("nobody", Filters(), after=LetterCursor(), limit=1)
    with pytest.raises(NoSuchWorkspace):
        async with desk(core.pool, "nobody"):
            pytest.fail("there is no such workspace")


@pytest.mark.usefixtures("letters")
async def test_discarded_letters_are_kept_with_the_reason_and_never_replayed(core: "Core") -> None:
    before = await core.count("dead_letters")
    async with desk(core.pool, "acme") as open_desk:
        gone = await open_desk.discard(Filters(provider="viriciti"), "a test vehicle")
        again = await open_desk.discard(Filters(provider="viriciti"), "another reason")
        batch = await open_desk.batch(Filters(), await open_desk.begin(), 10)

    assert (gone, again) == ((2, 2), (0, 0))
    assert [each.cursor.origin.rpartition("/")[2] for each in batch] == ["2", "77"]
    discarded = await found(core, state=State.DISCARDED)
    assert {letter.note for letter in discarded} == {"a test vehicle"}
    assert all(letter.resolved is not None for letter in discarded)
    assert await core.count("dead_letters") == before


async def test_discarding_one_reading_gives_up_all_waiting_letters_of_its_message(
    core: "Core", edge: "Edge"
) -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    message = edge.canonical(
        ("Vehicle.Speed", noon, 40.0),
        ("Vehicle.Speed", noon + timedelta(hours=2), 41.0),
        ("geotab.note", noon, "é" * 200),
    )
    await core.take(message)

    async with desk(core.pool, "acme") as open_desk:
        gone = await open_desk.discard(Filters(reason="future"), "clock was wrong")

    assert gone == (1, 2)


async def test_copy_that_comes_again_leaves_a_resolved_letter_as_it_is(
    core: "Core", edge: "Edge"
) -> None:
    frame = edge.frame("speed", "x")
    await core.take(frame)
    async with desk(core.pool, "acme") as open_desk:
        await open_desk.discard(Filters(origin=f"edge-1/{EPOCH}/0"), "a test vehicle")

    await core.take(frame)

    assert [letter.state for letter in await found(core, state=None)] == [State.DISCARDED]


async def test_headers_of_any_kind_never_hinder_that_a_record_is_kept(core: "Core") -> None:
    strange: list[list[tuple[str, bytes | None]]] = [
        [("ce_publisherid", b"e" * 10_000), ("ce_publisherepoch", b"~"), ("ce_sequence", b"1")],
        [("ce_publisherid", b"e"), ("ce_publisherepoch", str(EPOCH).encode()), ("ce_sequence", b"9" * 19)],
        [("ce_publisherid", b"e"), ("ce_publisherepoch", str(EPOCH).encode()), ("ce_sequence", b"-1")],
        [("ce_publisherid", b"\xff"), ("ce_publisherepoch", None), ("ce_sequence", b"")],
        [("ce_publisherid", b"e"), ("ce_publisherepoch", str(EPOCH).encode()), ("ce_sequence", b"7")],
        [("ce_publisherid", json.dumps("x").encode()), ("headers", b"x"), ("key", b"y")],
    ]  # fmt: skip
    records = [garbage(*headers) for headers in strange]
    route = "kafka/telematics.ingress/0"
    await core.handler.handle_together(
        [Delivery(records, Door.KAFKA, Principal(), route, range(len(records)))]
    )

    rows = await core.pool.fetch("SELECT lane, position FROM dead_letters ORDER BY origin")
    place = "telematics.ingress/0"
    assert [tuple(row) for row in rows] == [
        (place, 0), (place, 1), (place, 2), (place, 3), (f"e/{EPOCH}", 7), (place, 5),
    ]  # fmt: skip
