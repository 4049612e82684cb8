import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations_with_replacement
from typing import Any
from uuid import UUID

import pytest

from core_ingest.door import Door, Principal
from core_ingest.item import WHOLE, Item, conclude, item_of
from core_ingest.outcome import RANK, Outcome, OutcomeKind
from core_ingest.reading import Interpretation, Reading, Rejected, Uninterpretable, micros
from ingress_contracts import kinds
from ingress_contracts.control import Checkpoint, Connection, Undeliverable
from ingress_contracts.envelope import Envelope

EPOCH = UUID("01930000-0000-7000-8000-000000000001")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ANYBODY = Principal()
GOOD = Reading("Vehicle.Speed", 1, 5.0)
FUTURE = Reading("Vehicle.Speed", micros(NOON) + 400_000_000, 5.0)
BAD = Rejected("not_finite", "nan")

CONNECTION = {"stream": "buses", "state": "connected", "at": "2026-01-31T12:00:00Z"}
CHECKPOINT = {"number": 1, "epochs": [], "routes": [{"door": "http"}]}
UNDELIVERABLE = {"epoch": str(EPOCH), "sequence": 3, "reason": "too_large", "size": 600_000}


def envelope(body: Any = None, type_: str = kinds.PROVIDER_MESSAGE, **more: Any) -> Envelope:
    given = {
        "id": "1",
        "source": "/test/acme/buses",
        "type": type_,
        "provider": "test",
        "workspaceid": "acme",
        "receivedtime": NOON,
        "publisherid": "edge-1",
        "publisherepoch": EPOCH,
        "sequence": 7,
        "data": json.dumps(body).encode(),
    }
    return Envelope(**(given | more))


def item(
    *readings: Reading | Rejected,
    principal: Principal = ANYBODY,
    of: Envelope | None = None,
) -> Item:
    """Read an envelope with an interpreter that finds `readings` in anything."""

    def interpret(_data: bytes) -> Interpretation:
        return Interpretation("test", "bus_1", list(readings))

    return item_of(of or envelope(), Door.HTTP, principal, {"test": interpret})


def concluded(readings: Sequence[Reading | Rejected], *verdicts: OutcomeKind) -> Item:
    found = item(*readings)
    conclude(found, iter(verdicts))
    return found


def test_readings_wait_for_a_decision_with_the_name_of_their_asset() -> None:
    found = item(GOOD, BAD, GOOD)

    assert found.asset == ("acme", "test", "bus_1")
    assert found.readings == [GOOD, BAD, GOOD]
    assert found.outcome is None
    assert found.received == micros(NOON)
    assert found.origin == f"edge-1/{EPOCH}/7"


def test_message_without_readings_is_empty() -> None:
    found = item()

    assert found.outcome == Outcome(OutcomeKind.EMPTY)
    assert found.asset is None


def test_message_with_nothing_but_rejected_readings_is_a_dead_letter() -> None:
    found = item(BAD, Rejected("no_time", "none"))

    assert found.outcome == Outcome(OutcomeKind.DEAD_LETTERED, "not_finite")
    assert [(letter.index, letter.reason) for letter in found.dead_letters] == [
        (WHOLE, "not_finite")
    ]
    assert found.readings == []


def test_uninterpretable_message_is_a_dead_letter_with_its_reason() -> None:
    def interpret(_data: bytes) -> Interpretation:
        raise Uninterpretable("not_json", "at column 3")

    found = item_of(envelope(), Door.HTTP, ANYBODY, {"test": interpret})

    assert found.outcome == Outcome(OutcomeKind.DEAD_LETTERED, "not_json")
    assert found.dead_letters[0].detail == "at column 3"


@pytest.mark.parametrize("provider", ["nobody", None])
def test_message_of_a_provider_without_interpreter_is_a_dead_letter(provider: str | None) -> None:
    found = item(GOOD, of=envelope(provider=provider))

    assert found.outcome == Outcome(OutcomeKind.DEAD_LETTERED, "unknown_provider")


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("telematics.provider.message.v9", "unknown_version"),
        ("telematics.provider.gossip.v1", "unknown_type"),
        ("com.example.other", "unknown_type"),
    ],
)
def test_unknown_type_is_a_dead_letter_to_replay_and_refused_where_it_has_no_number(
    type_: str, reason: str
) -> None:
    assert item(of=envelope(type_=type_)).outcome == Outcome(OutcomeKind.DEAD_LETTERED, reason)
    for lack in ("publisherepoch", "sequence"):
        found = item(of=envelope(type_=type_, **{lack: None}))
        assert found.outcome == Outcome(OutcomeKind.REFUSED, reason)
        assert found.refused


@pytest.mark.parametrize("lack", ["publisherepoch", "sequence"])
@pytest.mark.parametrize(
    ("type_", "body"),
    [
        (kinds.PROVIDER_MESSAGE, {}),
        (kinds.CANONICAL_UPDATE, {}),
        (kinds.CONNECTION, CONNECTION),
        (kinds.UNDELIVERABLE, UNDELIVERABLE),
    ],
)
def test_message_without_the_number_that_its_kind_needs_is_refused(
    type_: str, body: Any, lack: str
) -> None:
    found = item(GOOD, of=envelope(body, type_, **{lack: None}))

    assert found.outcome == Outcome(OutcomeKind.REFUSED, "unnumbered")


@pytest.mark.parametrize(
    ("principal", "reason"),
    [
        (Principal("other", "edge-1"), "foreign_workspace"),
        (Principal("acme", "edge-2"), "foreign_publisher"),
        (Principal(None, "edge-2"), "foreign_publisher"),
        (Principal("other", "edge-2"), "foreign_workspace"),
    ],
)
def test_message_of_somebody_else_is_refused_before_it_is_read(
    principal: Principal, reason: str
) -> None:
    found = item(GOOD, principal=principal)

    assert found.outcome == Outcome(OutcomeKind.REFUSED, reason)
    assert found.readings == []
    assert found.asset is None


@pytest.mark.parametrize(
    "principal",
    [ANYBODY, Principal("acme"), Principal("acme", "edge-1"), Principal(None, "edge-1")],
)
def test_message_of_the_principal_is_read(principal: Principal) -> None:
    assert item(GOOD, principal=principal).readings == [GOOD]


@pytest.mark.parametrize(
    ("type_", "body", "model"),
    [
        (kinds.CONNECTION, CONNECTION, Connection),
        (kinds.CHECKPOINT, CHECKPOINT, Checkpoint),
        (kinds.UNDELIVERABLE, UNDELIVERABLE, Undeliverable),
    ],
)
def test_control_message_is_read_into_its_model(type_: str, body: Any, model: type) -> None:
    found = item(of=envelope(body, type_))

    assert isinstance(found.control, model)
    assert found.is_control
    assert found.outcome == Outcome(OutcomeKind.CONTROL)


def test_checkpoint_needs_no_number() -> None:
    found = item(of=envelope(CHECKPOINT, kinds.CHECKPOINT, publisherepoch=None, sequence=None))

    assert found.outcome == Outcome(OutcomeKind.CONTROL)


@pytest.mark.parametrize("type_", [kinds.CONNECTION, kinds.UNDELIVERABLE])
def test_unreadable_control_message_is_a_dead_letter_and_stays_control(type_: str) -> None:
    found = item(of=envelope({"stream": 5}, type_))

    assert found.outcome == Outcome(OutcomeKind.DEAD_LETTERED, "unreadable_body")
    assert found.is_control
    assert found.control is None
    assert ": " in found.dead_letters[0].detail


def test_unreadable_checkpoint_is_refused_as_it_has_no_number_to_keep_it_under() -> None:
    found = item(of=envelope({"number": -1}, kinds.CHECKPOINT, publisherepoch=None, sequence=None))

    assert found.outcome == Outcome(OutcomeKind.REFUSED, "unreadable_body")


def test_canonical_update_needs_no_interpreter_of_its_provider() -> None:
    reading = {"signal": "Vehicle.Speed", "observed": "2026-01-31T12:00:00Z", "value": 5}
    body = {"provider": "geotab", "externalid": "b8E2", "readings": [reading]}

    found = item(of=envelope(body, kinds.CANONICAL_UPDATE, provider=None))

    assert found.asset == ("acme", "geotab", "b8E2")
    assert found.readings == [Reading("Vehicle.Speed", micros(NOON), 5.0)]


def test_outcome_is_the_best_of_the_readings() -> None:
    verdicts = list(OutcomeKind)[:6]
    for pair in combinations_with_replacement(verdicts, 2):
        best = concluded([GOOD, FUTURE], *pair).outcome
        worse = concluded([GOOD, FUTURE], *reversed(pair)).outcome

        assert best == worse == Outcome(pair[0])


def test_rank_is_as_the_design_says() -> None:
    ranked = sorted(OutcomeKind, key=RANK.__getitem__)

    assert [kind.value for kind in ranked[:7]] == [
        "accepted", "unchanged", "conflict", "stale", "duplicate", "quarantined", "rejected",
    ]  # fmt: skip


@pytest.mark.parametrize("verdict", list(OutcomeKind)[:5])
def test_single_reading_decides_without_dead_letters(verdict: OutcomeKind) -> None:
    found = concluded([GOOD], verdict)

    assert found.outcome == Outcome(verdict)
    assert found.dead_letters == []


def test_single_reading_from_the_future_is_quarantined_as_a_dead_letter() -> None:
    found = concluded([FUTURE], OutcomeKind.QUARANTINED)

    assert found.outcome == Outcome(OutcomeKind.QUARANTINED)
    (letter,) = found.dead_letters
    assert (letter.index, letter.reason) == (0, "future")
    assert json.loads(letter.detail) == {
        "signal": "Vehicle.Speed",
        "observed": FUTURE.observed,
        "ahead_seconds": 400.0,
    }


def test_rejected_and_quarantined_readings_become_dead_letters_by_their_index() -> None:
    found = concluded(
        [BAD, GOOD, FUTURE, GOOD, BAD],
        OutcomeKind.DUPLICATE,
        OutcomeKind.QUARANTINED,
        OutcomeKind.STALE,
    )

    assert found.outcome == Outcome(OutcomeKind.STALE)
    assert [(letter.index, letter.reason) for letter in found.dead_letters] == [
        (0, "not_finite"),
        (2, "future"),
        (4, "not_finite"),
    ]


def test_nothing_but_rejected_and_quarantined_readings_is_quarantined() -> None:
    found = concluded([BAD, FUTURE], OutcomeKind.QUARANTINED)

    assert found.outcome == Outcome(OutcomeKind.QUARANTINED)
    assert [letter.index for letter in found.dead_letters] == [0, 1]


def test_concluding_again_replaces_what_was_concluded() -> None:
    found = item(GOOD, FUTURE)
    conclude(found, iter([OutcomeKind.ACCEPTED, OutcomeKind.QUARANTINED]))
    conclude(found, iter([OutcomeKind.DUPLICATE, OutcomeKind.QUARANTINED]))

    assert found.outcome == Outcome(OutcomeKind.DUPLICATE)
    assert [letter.index for letter in found.dead_letters] == [1]


def test_dead_letter_keeps_the_attributes_and_not_the_data_among_them() -> None:
    attributes = json.loads(item(GOOD).attributes())

    assert attributes["sequence"] in {7, "7"}
    assert attributes["workspaceid"] == "acme"
    assert "data" not in attributes
    assert "data_base64" not in attributes
    assert "traceparent" not in attributes


def test_item_without_outcome_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match=f"edge-1/{EPOCH}/7 has no outcome"):
        _ = item(GOOD).concluded


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (envelope(sequence=None), "unnumbered"),
        (envelope({}, "telematics.provider.message.v9", sequence=None), "unknown_version"),
        (envelope({}, kinds.CHECKPOINT, sequence=None), "unreadable_body"),
    ],
)
def test_a_queue_takes_nothing_back(found: Envelope, reason: str) -> None:
    read = item_of(found, Door.KAFKA, ANYBODY, {}, "kafka/telematics.ingress/3", 41)

    assert read.outcome == Outcome(OutcomeKind.DEAD_LETTERED, reason)
    assert [letter.index for letter in read.dead_letters] == [WHOLE]
    assert read.origin == "telematics.ingress/3/41"


def test_a_numbered_message_from_a_queue_keeps_its_own_origin() -> None:
    read = item_of(envelope(), Door.KAFKA, ANYBODY, {}, "kafka/telematics.ingress/3", 41)

    assert read.origin == f"edge-1/{EPOCH}/7"
    assert read.route == "kafka/telematics.ingress/3"
    assert item().route == "http"
