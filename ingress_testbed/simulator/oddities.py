"""The messages that a provider should not send, or that hold no data. Pure."""

import json
from random import Random

from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_testbed.fleet_model.sensors import WAKING
from ingress_testbed.recordings import Frame

MAX_READ_BYTES = 16 * 2**20
"""What a client of the provider reads at most in one message."""

_YEAR = 365 * 86_400_000
_2090 = 3_786_912_000_000
_NOT_JSON = (
    b"",
    b"Internal Server Error",
    b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    b"{'type': 'vehicles', 'payload': None}",
    b"vehicles;bus;soc;57.5",
    b'{"type":"vehicles"}{"type":"vehicles"}',
    b"\xff\xfe\x00{}",
)
_LABELS = ("doors.front_open", "hvac.cabin_temp", "türen", "x" * 200, "driver id", "CO2/100km")
_VALUES = ("1", "-0.0", "true", '"open"', '"zu"', "21.375")


def stamped_2090(frame: Frame) -> Frame:
    """Return `frame` as a clock that runs 65 years ahead would stamp it."""
    return frame._replace(time=_2090 + frame.time % _YEAR)


def stamped_1970(frame: Frame) -> Frame:
    """Return `frame` as a clock that began anew would stamp it."""
    return frame._replace(time=frame.time % _YEAR)


def cut(data: bytes, dice: Random) -> bytes:
    """Return the beginning of a JSON object: at least one character, never all."""
    text = data.decode()
    return text[: dice.randrange(1, len(text))].encode()


def not_json(dice: Random) -> bytes:
    """Return bytes that are no JSON; some are not even UTF-8, or nothing at all."""
    return dice.choice(_NOT_JSON)


def oversized(frame: Frame) -> Frame:
    """Return a frame that is larger than the contract lets anybody send on."""
    return _note(frame, MAX_DATA_BYTES)


def huge(frame: Frame) -> Frame:
    """Return a frame that is larger than a client reads."""
    return _note(frame, MAX_READ_BYTES)


def unknown(frame: Frame, dice: Random) -> Frame:
    """Return a datapoint of the same vehicle and time, with a label that no catalogue knows."""
    return frame._replace(label=dice.choice(_LABELS), value=dice.choice(_VALUES))


def glitch(frame: Frame) -> list[Frame]:
    """Return what a bus says of its voltage when it wakes at the frame's time."""
    return [Frame(frame.vid, "voltage", voltage, frame.time + after) for after, voltage in WAKING]


def acl(vid: str) -> bytes:
    """Return a frame about permissions."""
    return json.dumps({"type": "acl", "payload": {"vid": vid, "allowed": True}}).encode()


def _note(frame: Frame, size: int) -> Frame:
    return frame._replace(label="note", value=f'"{"x" * size}"')
