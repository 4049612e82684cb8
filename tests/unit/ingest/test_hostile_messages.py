"""Whatever bytes a provider or a publisher sends: facts that can be stored, or a reason."""

import json
import struct
from collections.abc import Callable
from math import isfinite

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core_ingest.providers import canonical, viriciti
from core_ingest.reading import (
    EARLIEST,
    LATEST,
    MAX_TEXT_BYTES,
    Interpretation,
    Rejected,
    Uninterpretable,
    columns,
    of_columns,
    order,
)
from core_ingest.signals.catalogue import signal
from core_ingest.signals.labels import LABELS

pytestmark = pytest.mark.hostile

many = settings(max_examples=10_000, suppress_health_check=[HealthCheck.too_slow])

FRAMES = (
    '{"type":"vehicles","payload":{"vid":"arcc_004","label":"soc","value":57.5,"time":1700000000000}}',
    '{"type":"vehicles","payload":{"vid":"arcc_004","label":"power","value":-12.75,"time":1.7e12}}',
    '{"type":"vehicles","payload":{"vid":"b","label":"gps","value":"52.1|5.1","time":1700000000000}}',
    '{"type":"vehicles","payload":{"vid":"b","label":"driver","value":"\\u00e9","time":0}}',
    '{"type":"acl","payload":{"vid":"arcc_004"}}',
)
UPDATE = (
    '{"provider":"geotab","externalid":"b8E2","readings":[{"signal":"Vehicle.Speed","observed":'
    '"2026-01-01T12:00:00.123Z","value":21.7},{"signal":"geotab.door","observed":'
    '"2026-01-01T12:00:00+02:00","value":"open"},{"signal":"Vehicle.CurrentLocation","observed":'
    '"1970-01-01T00:00:00Z","value":{"latitude":52.1,"longitude":5.1}}]}'
)
NAMES = (*LABELS["viriciti"], "energy", "x\x00", "", "\x85", "l" * 257)
MISCHIEF = (
    *("NaN", "-Infinity", "1e999", "-1e-999", "1E400000000000000000000", "9" * 400, "9" * 5_000),
    *("-0.0", "0.1e-400", "9223372036854775808", "253402300800000", "-62135596800000"),
    *('"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\uFFFF"', '"\x7f"', '"\u2028"', '"' + "é" * 300),
    *("null", "true", "[]", "{}", "[" * 150 + "]" * 150, "[" * 400, '"1_0|2"', '"nan|inf"', '"|"'),
    *('"time":4102444800000,', '"time":0.5,', '"value":7,', '"type":"vehicles",', '"payload":{},'),
    *("{", "}", "[", "]", '"', ",", ":", "\\", "\x00", "\ufeff", "/*", "'"),
)  # fmt: skip


def damaged(sample: str, wounds: bytes) -> bytes:
    """Replace some stretches of a good message: every four bytes are a place (2), a length, a patch.

    One draw an example, cut up by hand, is what makes millions of them cheap.
    """
    for at in range(0, len(wounds) - 3, 4):
        start = int.from_bytes(wounds[at : at + 2], "big") % (len(sample) + 1)
        patch = MISCHIEF[wounds[at + 3] % len(MISCHIEF)]
        sample = sample[:start] + patch + sample[start + wounds[at + 2] % 24 :]
    return sample.encode("utf-8", "surrogatepass")


def holds(interpret: Callable[[bytes], Interpretation], data: bytes) -> None:
    """Assert that `data` become what the store can hold, or that a reason is given."""
    try:
        found = interpret(data)
    except Uninterpretable as refusal:
        found = Interpretation("", "", [Rejected(refusal.reason, refusal.detail)])
    assert len(found.external_id) <= 256
    assert found.external_id.isprintable() or interpret is canonical.interpret
    found.external_id.encode()
    for reading in found.readings:
        if isinstance(reading, Rejected):
            assert reading.reason.isidentifier()
            assert reading.detail
            continue
        assert EARLIEST <= reading.observed <= LATEST
        assert "\x00" not in reading.signal
        reading.signal.encode()
        kept = columns(reading.value)
        assert of_columns(*kept) == reading.value
        assert order(reading.value) == order(reading.value)
        assert signal(reading.signal).quality(reading.value) in (0, 1)
        if isinstance(reading.value, str):
            assert len(reading.value.encode()) <= MAX_TEXT_BYTES
            assert "\x00" not in reading.value
        else:
            parts = reading.value if isinstance(reading.value, tuple) else (reading.value,)
            assert all(isfinite(part) and str(part) != "-0.0" for part in parts)


def literal(dice: bytes) -> str:
    """Return a number of any kind, or a piece of mischief: often JSON, seldom what is wanted."""
    first, second = struct.unpack("<2d", dice[1:17])
    made = (first, second, dice[1] - 128, 10 ** (dice[1] % 25), f"{first}|{second}", chr(dice[1]))
    literals = (*MISCHIEF, *map(json.dumps, made))
    return literals[dice[0] % len(literals)]


@many
@given(st.binary(min_size=36, max_size=52))
def test_frame_that_is_damaged_or_holds_any_value_is_interpreted_or_refused(dice: bytes) -> None:
    holds(viriciti.interpret, damaged(FRAMES[dice[0] % len(FRAMES)], dice[36:]))
    label = json.dumps(NAMES[dice[1] % len(NAMES)])
    payload = f'"vid":"b","label":{label},"value":{literal(dice[2:])},"time":{literal(dice[19:])}'
    holds(viriciti.interpret, f'{{"type":"vehicles","payload":{{{payload}}}}}'.encode())


@many
@given(st.binary(min_size=18, max_size=34))
def test_update_that_is_damaged_or_holds_any_value_is_interpreted_or_refused(dice: bytes) -> None:
    holds(canonical.interpret, damaged(UPDATE, dice[18:]))
    values = ("21.7", '"open"', "52.1", '"2026-01-01T12:00:00.123Z"')
    holds(canonical.interpret, UPDATE.replace(values[dice[0] % 4], literal(dice[1:])).encode())
