import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from core_ingest.signals.labels import LABELS, uncatalogued
from telematics_publisher.provider import OPAQUE, Doubt, Frame, StreamEntry, installed
from telematics_publisher.providers.viriciti import KNOWN_LABELS, ViricitiStream


def stream(**options: object) -> ViricitiStream:
    entry = {"name": "buses", "workspace": "acme", "provider": "viriciti"}
    options = options or {"vehicles": {"arcc_004": ["gps", "soc"], "arcc_005": ["odo"]}}
    return ViricitiStream(StreamEntry.model_validate(entry | options), SecretStr("k&y 1"))


def test_is_installed_under_its_name() -> None:
    assert installed()["viriciti"] is ViricitiStream


def test_carries_the_key_in_the_address_escaped() -> None:
    assert stream().url == "wss://sdk.viriciti.com/api/v2/live?apiKey=k%26y%201"


def test_takes_another_address() -> None:
    other = stream(url="ws://127.0.0.1:8765/live", vehicles={"a": ["soc"]})
    assert other.url.startswith("ws://127.0.0.1:8765/live?apiKey=")


def test_subscribes_to_the_labels_of_each_vehicle() -> None:
    wanted = {"vehicles": {"arcc_004": ["gps", "soc"], "arcc_005": ["odo"]}}
    assert json.loads(stream().subscription()) == wanted


@pytest.mark.parametrize(
    ("data", "frame"),
    [
        (
            b'{"type":"vehicles","payload":{"vid":"arcc_004","label":"soc","value":5,"time":17}}',
            Frame("arcc_004", timestamped=True),
        ),
        (
            b'{"type":"vehicles","payload":{"vid":"arcc_004","label":"soc","value":5}}',
            Frame("arcc_004", timestamped=False),
        ),
        (b'{"type":"vehicles","payload":{"time":17}}', Frame(None, timestamped=True)),
        (
            b'{"type":"acl","payload":{"vid":"arcc_004","time":17}}',
            Frame("arcc_004", timestamped=False),
        ),
        (b'{"type":"error","payload":{"message":"no"}}', Frame(None, timestamped=False)),
        (b'{"type":"error","message":"no"}', OPAQUE),
        (b'{"type":"vehicles","payload":{"vid":7,"time":1}}', Frame(None, timestamped=True)),
        (b'{"type":"vehicles","payload":{"vid":"","time":1}}', Frame(None, timestamped=True)),
        (
            b'{"type":"vehicles","payload":{"vid":"a\\u0000","time":1}}',
            Frame(None, timestamped=True),
        ),
        (b'{"vehicles":{"arcc_004":["soc"]}}', Frame(None, timestamped=False, echo=True)),
        (b"not JSON", OPAQUE),
        (b"\xff\xfe", OPAQUE),
        (b"[]", OPAQUE),
        (b"[" * 100_000, OPAQUE),
        (b"", OPAQUE),
    ],
)
def test_reads_what_a_frame_is(data: bytes, frame: Frame) -> None:
    assert stream().inspect(data) == frame


@given(st.binary())
def test_inspects_any_bytes_without_raising(data: bytes) -> None:
    assert isinstance(stream().inspect(data), Frame)


@pytest.mark.parametrize(
    ("echo", "missing"),
    [
        ({"vehicles": {"arcc_004": ["soc", "gps"], "arcc_005": ["odo", "more"]}}, None),
        ({"vehicles": {"arcc_004": ["gps"]}}, "not confirmed: arcc_004 (soc); arcc_005 (odo)"),
        ({"vehicles": []}, "not confirmed: arcc_004 (gps, soc); arcc_005 (odo)"),
    ],
)
def test_compares_the_echo_with_what_was_asked(echo: object, missing: str | None) -> None:
    assert stream().missing(json.dumps(echo).encode()) == missing


@pytest.mark.parametrize(
    "options", [{"vehicles": {}}, {"vehicles": {"a": []}}, {"vehicels": {"a": ["soc"]}}]
)
def test_refuses_options_that_ask_for_nothing(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        stream(**options)


def test_the_known_labels_are_those_of_cores_catalogue() -> None:
    assert set(KNOWN_LABELS) == set(LABELS["viriciti"])
    assert len(KNOWN_LABELS) == len(LABELS["viriciti"])


def test_labels_that_core_does_not_know_are_doubtful() -> None:
    vehicles = {
        "bus-0001": ["soc", "doors"],
        "bus-0002": ["doors"],
        "bus-0003": ["curent", "doors"],
    }
    assert uncatalogued("viriciti", "curent") == "viriciti.curent"
    assert stream(vehicles=vehicles).doubts() == [
        Doubt(
            "`doors` of bus-0001 and 2 others is no label that core knows: it will be kept as "
            "signal `viriciti.doors`.",
            None,
        ),
        Doubt(
            "`curent` of bus-0003 is no label that core knows: it will be kept as signal "
            "`viriciti.curent`.",
            "current",
        ),
    ]
    assert stream(vehicles={"bus": list(KNOWN_LABELS)}).doubts() == []
