from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from ingress_contracts.canonical import CanonicalReading, CanonicalUpdate, Position
from ingress_contracts.control import Checkpoint, CheckpointEpoch, Route, Undeliverable

EPOCH = UUID("01943f10-8f7a-7c3e-9d52-5f0c2b1a7e44")


def epoch(**changes: Any) -> CheckpointEpoch:
    return CheckpointEpoch(**{"epoch": EPOCH, "first": 5, "head": 9} | changes)


def test_a_checkpoint_survives_its_journey_as_json() -> None:
    checkpoint = Checkpoint(
        number=1,
        epochs=(epoch(pending=((5, 6), (8, 8)), dropped=((7, 7),), closed=True),),
        routes=(Route(door="http"), Route(door="kafka", topic="telemetry", partitions=3)),
    )

    assert Checkpoint.model_validate_json(checkpoint.model_dump_json()) == checkpoint


def test_an_epoch_that_has_handed_out_nothing_ends_before_its_first_number() -> None:
    assert epoch(first=0, head=-1).pending == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"head": 3},
        {"pending": ((4, 5),)},
        {"pending": ((9, 10),)},
        {"pending": ((7, 6),)},
        {"dropped": ((6, 7), (7, 8))},
        {"dropped": ((8, 8), (6, 6))},
    ],
    ids=["head_too_low", "below", "above", "backwards", "overlapping", "falling"],
)
def test_ranges_of_an_epoch_rise_within_it(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        epoch(**changes)


@pytest.mark.parametrize(
    "route",
    [
        {"door": "kafka"},
        {"door": "kafka", "topic": "telemetry"},
        {"door": "http", "topic": "telemetry", "partitions": 1},
        {"door": "pigeon"},
    ],
    ids=str,
)
def test_a_route_names_its_topic_if_it_has_one(route: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Route.model_validate(route)


@pytest.mark.parametrize("number", [True, 1.0, "1", -1, 2**63])
def test_numbers_in_control_messages_are_plain_integers(number: object) -> None:
    with pytest.raises(ValidationError):
        epoch(first=number, head=2**63 - 1)


@pytest.mark.parametrize("detail", ["\ud800", "x" * 2_001], ids=["surrogate", "long"])
def test_a_detail_is_unicode_of_limited_length(detail: str) -> None:
    with pytest.raises(ValidationError):
        Undeliverable(epoch=EPOCH, sequence=1, reason="too_large", detail=detail, size=1)


@pytest.mark.parametrize(
    ("json", "value"),
    [
        (b"57.5", 57.5),
        (b"57", 57.0),
        (b'"57.5"', "57.5"),
        (b'{"latitude":52.09,"longitude":5.11}', Position(latitude=52.09, longitude=5.11)),
    ],
    ids=["number", "integer", "text", "position"],
)
def test_a_reading_keeps_the_type_of_its_value(json: bytes, value: object) -> None:
    body = (
        b'{"provider":"depot","externalid":"bus-12","readings":'
        b'[{"signal":"Vehicle.Speed","observed":"2026-01-01T12:00:00Z","value":' + json + b"}]}"
    )

    (reading,) = CanonicalUpdate.model_validate_json(body).readings

    assert reading.value == value
    assert type(reading.value) is type(value)


@pytest.mark.parametrize(
    "value", [b"NaN", b"Infinity", b"true", b"null", b"[]", b'{"latitude":91}']
)
def test_a_reading_refuses_a_value_that_is_none(value: bytes) -> None:
    body = b'{"signal":"Vehicle.Speed","observed":"2026-01-01T12:00:00Z","value":' + value + b"}"

    with pytest.raises(ValidationError):
        CanonicalReading.model_validate_json(body)
