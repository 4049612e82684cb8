import json

import pytest

from ingress_testbed.recordings import Extent, Frame
from ingress_testbed.simulator.protocol import (
    BadRequest,
    Request,
    error_message,
    read_request,
    read_subscription,
    wire,
)
from ingress_testbed.simulator.timeline import MAX_SPEED, shift_to_now


@pytest.mark.parametrize(
    ("target", "header", "expected"),
    [
        ("/api/v2/live?apiKey=K", None, Request("/api/v2/live", "K", 0)),
        ("/api/v2/live", "H", Request("/api/v2/live", "H", 0)),
        ("/api/v2/live?apiKey=a%2Bb&resend=all", None, Request("/api/v2/live", "a+b", "all")),
        ("/api/v2/live/resend/all?apiKey=K", None, Request("/api/v2/live", "K", "all")),
        ("/status?resend=12", None, Request("/status", None, 12)),
    ],
)
def test_a_request_names_path_key_and_what_to_resend(
    target: str, header: str | None, expected: Request
) -> None:
    assert read_request(target, header) == expected


@pytest.mark.parametrize("resend", ["-1", "some", "", "²"])
def test_a_resend_that_is_no_number_is_refused(resend: str) -> None:
    if resend == "":
        assert read_request("/x?resend=", None).resend == 0  # a blank parameter is none
        return
    with pytest.raises(BadRequest, match="must be a number of frames, or all"):
        read_request(f"/x?resend={resend}", None)


def test_a_subscription_is_labels_by_vehicle() -> None:
    message = '{"vehicles":{"bus":["odo","gps"],"other":[]}}'
    assert read_subscription(message) == {"bus": {"odo", "gps"}, "other": set()}


@pytest.mark.parametrize(
    "message", ["", "[]", "{}", '{"vehicles":1}', '{"vehicles":{"bus":1}}', b"\xff"]
)
def test_anything_else_is_answered_with_how_to_subscribe(message: str | bytes) -> None:
    with pytest.raises(BadRequest, match="subscribe with") as refused:
        read_subscription(message)
    assert json.loads(error_message(str(refused.value)))["type"] == "error"


@pytest.mark.parametrize("size", [0, 200, 70_000])
def test_frames_have_the_length_that_their_header_states(size: int) -> None:
    data = wire(Frame("bus", "note", json.dumps("x" * size), 1))
    if data[1] < 126:
        start, length = 2, data[1]
    else:
        start = 4 if data[1] == 126 else 10
        length = int.from_bytes(data[2:start], "big")
    assert data[0] == 0x81
    assert len(data) - start == length
    assert json.loads(data[start:]) == {
        "type": "vehicles",
        "payload": {"vid": "bus", "label": "note", "value": "x" * size, "time": 1},
    }


def test_in_real_time_the_first_frame_becomes_now_and_faster_the_last_one() -> None:
    extent = Extent(frames=2, first=1_000, last=61_000)
    assert extent.first + shift_to_now(extent, 1, now=500_000) == 500_000
    assert extent.last + shift_to_now(extent, 10, now=500_000) == 500_000
    assert extent.last + shift_to_now(extent, MAX_SPEED, now=500_000) == 500_000
