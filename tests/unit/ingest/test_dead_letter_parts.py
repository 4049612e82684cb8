"""The pure parts of dead letters: places, verdicts, pace, and messages rebuilt from what was kept."""

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_ingest.dead_letters.filters import (
    LETTER_CURSOR,
    MESSAGE_CURSOR,
    Filters,
    LetterCursor,
    MessageCursor,
    State,
)
from core_ingest.dead_letters.rebuild import rebuild, route, without_data
from core_ingest.dead_letters.replay import Pace, Plan
from core_ingest.dead_letters.texts import shown
from core_ingest.dead_letters.verdicts import Resolution, Tally, resolutions
from core_ingest.door import Door
from core_ingest.item import WHOLE, DeadLetter, Fate, Item
from core_ingest.outcome import Outcome, OutcomeKind
from core_ingest.unreadable import Unreadable
from ingress_contracts import kafka
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import PROVIDER_MESSAGE, UNDELIVERABLE

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
INSTANTS = st.datetimes(
    min_value=datetime(1970, 1, 1), max_value=datetime(2286, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
)  # fmt: skip
ORIGINS = st.from_regex(r"\A[A-Za-z0-9._-]{1,128}/[A-Za-z0-9-]{1,36}/[0-9]{1,19}\Z")


def envelope(**changes: object) -> Envelope:
    return Envelope(
        id="1",
        source="/viriciti/acme/buses",
        type=PROVIDER_MESSAGE,
        provider="viriciti",
        workspaceid="acme",
        receivedtime=NOON,
        publisherid="edge-1",
        publisherepoch=EPOCH,
        sequence=2**63 - 1,
        data=b"\x00\xff",
    ).model_copy(update=changes)


@given(
    at=INSTANTS, workspace=st.integers(0, 10**9 - 1), origin=ORIGINS, part=st.integers(-2, 10_000)
)
def test_letter_cursor_is_read_back_as_it_was(
    at: datetime, workspace: int, origin: str, part: int
) -> None:
    cursor = LetterCursor(at, workspace, origin, part)

    assert re.fullmatch(LETTER_CURSOR, cursor.text())
    assert LetterCursor.read(cursor.text()) == cursor


@given(at=INSTANTS, position=st.integers(0, 2**63 - 1), origin=ORIGINS)
def test_message_cursor_is_read_back_as_it_was(at: datetime, position: int, origin: str) -> None:
    cursor = MessageCursor(at, origin.rpartition("/")[0], position, origin)

    assert re.fullmatch(MESSAGE_CURSOR, cursor.text())
    assert MessageCursor.read(cursor.text()) == cursor


@given(st.from_regex(MESSAGE_CURSOR, fullmatch=True), st.from_regex(LETTER_CURSOR, fullmatch=True))
def test_any_text_of_the_documented_form_is_a_cursor(message: str, letter: str) -> None:
    assert MessageCursor.read(message).position < 2**63
    assert LetterCursor.read(letter).part >= -2


@pytest.mark.parametrize("text", ["", "1", "1.2.3", "x.0.0.y"])
def test_other_texts_are_none(text: str) -> None:
    for kind in (LetterCursor, MessageCursor):
        with pytest.raises(ValueError, match="must be `next`"):
            kind.read(text)


def test_filters_have_one_text_however_their_instants_are_written() -> None:
    east = NOON.astimezone(datetime.fromisoformat("2026-01-31T12:00:00+02:00").tzinfo)

    assert Filters(since=NOON).text() == Filters(since=east).text()
    assert Filters(reason="a").text() != Filters(provider="a").text()
    assert Plan(Filters(), limit=1).name != Plan(Filters()).name
    assert (Filters().narrow, Filters(door="http").narrow) == (False, True)
    assert Filters().state is State.WAITING


def fate(outcome: OutcomeKind, *letters: DeadLetter) -> Fate:
    return Fate(Outcome(outcome), letters)


WHOLE_AGAIN = DeadLetter(WHOLE, "unknown_version", "v9")
READING_AGAIN = DeadLetter(2, "future", "ahead")
DEAD, GOOD = OutcomeKind.DEAD_LETTERED, OutcomeKind.ACCEPTED


@pytest.mark.parametrize(
    ("indexes", "found", "waits"),
    [
        ([WHOLE], fate(GOOD), [False]),
        ([WHOLE], fate(DEAD, WHOLE_AGAIN), [True]),
        ([WHOLE], fate(GOOD, READING_AGAIN), [False]),
        ([1, 2], fate(GOOD, READING_AGAIN), [False, True]),
        ([1, 2], fate(DEAD, WHOLE_AGAIN), [True, True]),
        ([WHOLE, 2], fate(GOOD, READING_AGAIN), [False, True]),
    ],
)
def test_letter_waits_on_where_its_part_or_the_whole_is_a_dead_letter_again(
    indexes: list[int], found: Fate, waits: list[bool]
) -> None:
    made = list(resolutions(indexes, found, moved=False))

    assert [each.part for each in made] == indexes
    assert [each.waits for each in made] == waits
    for each in made:
        assert (each.reason == "") is not each.waits
    assert not any(each.waits for each in resolutions(indexes, found, moved=True))


def test_letter_that_waits_has_the_reason_of_now() -> None:
    assert list(resolutions([2], fate(GOOD, READING_AGAIN), moved=False)) == [
        Resolution(2, True, "accepted", "future", "ahead")  # noqa: FBT003
    ]


def test_tallies_add_up() -> None:
    one = Tally(messages=2, outcomes={"accepted": 1, "stale": 1}, resolved=2)
    other = Tally(messages=1, outcomes={"stale": 1}, waiting=1, without_data=3)

    assert one.plus(other) == Tally(
        messages=3, outcomes={"accepted": 1, "stale": 2}, resolved=2, waiting=1, without_data=3
    )


@given(
    rate=st.floats(0.5, 1_000),
    batches=st.lists(st.tuples(st.integers(1, 200), st.floats(0, 2)), min_size=2, max_size=20),
)
def test_no_batch_begins_before_the_rate_allows_it(
    rate: float, batches: list[tuple[int, float]]
) -> None:
    pace, now, done, first = Pace(rate), 100.0, 0, 100.0
    for size, took in batches:
        assert now - first >= done / rate - 1e-6
        begun, now = now, now + took
        done += size
        now += pace.pause(size, begun, now)


def test_without_a_rate_nothing_waits_and_with_a_slow_one_batches_are_small() -> None:
    assert Pace(None).pause(200, 0.0, 0.0) == 0.0
    assert Pace(10.0).pause(5, 0.0, 0.1) == pytest.approx(0.4)
    assert [Plan(Filters(), rate=rate).batch for rate in (None, 0.1, 50.0, 1e6)] == [
        200,
        1,
        50,
        200,
    ]


def test_envelope_is_rebuilt_from_what_the_handler_keeps_of_it() -> None:
    message = envelope(leaseepoch=7, subject="bus 1", time=NOON + timedelta(microseconds=1))
    kept = Item(message, Door.HTTP, 0, "http").attributes()

    assert rebuild(kept, message.data) == message


def test_record_is_decoded_anew_with_the_reason_of_now() -> None:
    sent = kafka.encode(envelope())
    good = Unreadable("gone", "", sent.value, b"\xffkey", [("x\x00", None), *sent.headers])
    bad = Unreadable("gone", "", b"", None, [each for each in sent.headers if each[0] != "ce_id"])

    assert rebuild(good.attributes(), sent.value) == envelope()
    found = rebuild(bad.attributes(), sent.value)
    assert isinstance(found, Unreadable)
    assert (found.reason, found.data) == ("missing_attribute", sent.value)
    assert (found.workspaceid, found.publisherid, found.sequence) == ("acme", "edge-1", 2**63 - 1)


def test_attributes_that_no_longer_make_an_envelope_are_said() -> None:
    kept = json.loads(Item(envelope(), Door.HTTP, 0, "http").attributes())

    found = rebuild(json.dumps(kept | {"specversion": "2.0"}), b"")

    assert isinstance(found, Unreadable)
    assert (found.reason, found.workspace) == ("invalid_attribute", "acme")
    assert found.detail.startswith("specversion: ")


def test_only_a_report_under_a_foreign_number_is_without_data() -> None:
    report = envelope(type=UNDELIVERABLE, data=b"", sequence=8)

    assert without_data(f"edge-1/{EPOCH}/7", [WHOLE], report)
    assert not without_data(f"edge-1/{EPOCH}/8", [WHOLE], report)
    assert not without_data(f"edge-1/{EPOCH}/7", [WHOLE], envelope())


def test_route_is_the_partition_only_where_the_origin_is_a_place() -> None:
    unnumbered = envelope(publisherepoch=None, sequence=None)

    assert route("telematics.ingress/3/77", "kafka", unnumbered) == "kafka/telematics.ingress/3"
    assert route(f"edge-1/{EPOCH}/{2**63 - 1}", "kafka", envelope()) == "kafka"
    assert route(f"edge-1/{EPOCH}/{2**63 - 1}", "http", envelope()) == "http"


def test_what_a_stranger_sent_cannot_command_the_terminal() -> None:
    assert shown("é\t{}\n\x1b[2J\x9b\x00\u202e") == "é\t{}\n\\x1b[2J\\x9b\\x00\\u202e"
