import json
from collections.abc import Iterable
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import frames as wire
from websockets.protocol import OPEN, Protocol, Side

from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_testbed.recordings import Frame
from ingress_testbed.simulator.habits import Habit, Habits, Occasion, read_habits
from ingress_testbed.simulator.load import MOST_FRAMES, Load, PlainPacker
from ingress_testbed.simulator.mischief import BadPacker, messages
from ingress_testbed.simulator.oddities import MAX_READ_BYTES
from ingress_testbed.simulator.protocol import fragments, message, whole

FRAME = Frame("bus", "odo", "88526.4140", 1_736_132_400_123)
PLAIN = message(FRAME)


def made(*habits: Habit, seed: int = 1) -> list[bytes]:
    return [one.data for one in messages(FRAME, habits, Random(seed))]


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def year(data: bytes) -> int:
    return datetime.fromtimestamp(json.loads(data)["payload"]["time"] / 1_000, UTC).year


def pack(habits: Habits, frames: Iterable[Frame]) -> list[Load]:
    packer, loads = BadPacker(habits, "key", "key:1", 0), []
    for frame in frames:
        if packer.full:
            loads.append(packer.seal())
        packer.add(frame)
    return [*loads, packer.seal()]


def times(loads: Iterable[Load]) -> list[int]:
    return [
        json.loads(one.data)["payload"]["time"] for load in loads for one in load.sent if one.data
    ]


def some(count: int) -> list[Frame]:
    return [FRAME._replace(time=time) for time in range(count)]


def test_without_habits_a_frame_is_sent_as_it_was_recorded() -> None:
    assert made() == [PLAIN]


def test_frames_are_dropped_and_doubled() -> None:
    assert made(Habit.DROP) == []
    assert made(Habit.DUPLICATE) == [PLAIN, PLAIN]


def test_stamps_are_of_2090_and_1970_and_nothing_else_changes() -> None:
    for habit, expected in ((Habit.FUTURE, 2090), (Habit.PAST, 1970)):
        (data,) = made(habit)
        assert year(data) == expected
        assert json.loads(data)["payload"]["value"] == 88526.414


@given(st.integers())
def test_a_cut_frame_is_a_beginning_that_is_no_json(seed: int) -> None:
    (data,) = made(Habit.CUT, seed=seed)
    assert PLAIN.startswith(data)
    assert 0 < len(data) < len(PLAIN)
    assert not is_json(data)


@given(st.integers())
def test_what_is_no_json_is_none(seed: int) -> None:
    kept, data = made(Habit.NOT_JSON, seed=seed)
    assert kept == PLAIN
    assert not is_json(data)


def test_oversized_frames_are_above_the_contract_and_huge_ones_above_what_is_read() -> None:
    _, oversized, huge = made(Habit.OVERSIZED, Habit.HUGE)
    assert MAX_DATA_BYTES < len(oversized) < MAX_READ_BYTES < len(huge)
    assert json.loads(oversized)["payload"]["vid"] == "bus"


def test_a_glitch_is_the_one_of_the_recordings() -> None:
    payloads = [json.loads(data)["payload"] for data in made(Habit.GLITCH)[1:]]
    assert [one["value"] for one in payloads] == [664.8, 0, 661.2]
    assert [one["time"] - FRAME.time for one in payloads] == [0, 450, 900]
    assert {one["label"] for one in payloads} == {"voltage"}


def test_error_and_acl_frames_and_unknown_labels_follow_the_frame() -> None:
    frames = [json.loads(data) for data in made(Habit.ERROR, Habit.ACL, Habit.UNKNOWN_LABEL)]
    assert [one["type"] for one in frames] == ["vehicles", "vehicles", "error", "acl"]
    assert frames[1]["payload"]["label"] not in {"odo", "speed", "gps", "soc"}


@given(st.binary(max_size=300), st.integers(2, 4))
def test_fragments_are_one_message_to_a_client(data: bytes, count: int) -> None:
    client = Protocol(Side.CLIENT, state=OPEN)
    client.receive_data(fragments(data, count) + whole(data))
    received = [one for one in client.events_received() if isinstance(one, wire.Frame)]
    assert received.pop(1).opcode is wire.Opcode.PING
    assert b"".join(one.data for one in received[:count]) == data
    assert [one.fin for one in received] == [*[False] * (count - 1), True, True]
    assert received[count].data == data


def test_a_late_frame_comes_behind_up_to_ten_others_and_none_is_lost() -> None:
    habits = read_habits(["disorder=0.05"], seed=3)
    found = times(pack(habits, some(2_000)))
    assert found != sorted(found)
    assert sorted(found) == list(range(2_000))
    newest = -1
    for time in found:
        assert time >= newest - 10
        newest = max(newest, time)


def test_a_load_waits_for_what_is_to_come_before_a_late_frame() -> None:
    packer = BadPacker(read_habits(["disorder=1"]), "key", "key:1", 0)
    packer.add(FRAME)
    assert packer.holding
    for frame in some(10):
        packer.add(frame)
    assert not packer.holding


def test_loads_count_frames_messages_and_habits_and_name_all_that_is_sent() -> None:
    habits = read_habits(["drop=2", "duplicate=3", "error=4", "future=5"])
    (load,) = pack(habits, some(5))
    assert (load.frames, load.messages) == (5, 6)
    assert [one.habits for one in load.sent] == [
        (),
        ("duplicate",),
        ("duplicate",),
        (),
        ("error",),
        ("future",),
    ]
    assert load.injected == ["drop", "duplicate", "error", "future"]
    assert {one.key for one in load.sent} == {"key"}


def test_nothing_else_happens_to_a_dropped_frame_and_a_stamp_changes_once() -> None:
    always = Occasion(chance=1.0)
    every = Habits(dict.fromkeys((Habit.DROP, Habit.DUPLICATE, Habit.CUT, Habit.ACL), always))
    (load,) = pack(every, some(1))
    assert load.injected == ["drop", "acl"]
    stamps = Habits(dict.fromkeys((Habit.FUTURE, Habit.PAST), always))
    (load,) = pack(stamps, some(1))
    assert load.injected == ["future"]


@pytest.mark.parametrize("habit", [Habit.HALF_OPEN, Habit.DISCONNECT, Habit.REVOKE])
def test_an_ending_is_the_end_of_its_load(habit: Habit) -> None:
    loads = pack(Habits({habit: Occasion(every=3)}), some(5))
    assert [(load.frames, load.ending) for load in loads] == [(3, habit), (2, None)]


def test_nothing_follows_a_huge_frame_in_its_load() -> None:
    loads = pack(read_habits(["huge=3"]), some(5))
    assert [(load.frames, load.settle) for load in loads] == [(3, True), (2, False)]
    assert loads[0].sent[-1].data is None
    assert loads[0].sent[-1].size > MAX_READ_BYTES


def test_a_load_of_oversized_frames_stays_small() -> None:
    loads = pack(read_habits(["oversized=1.0", "disorder=1.0"]), some(100))
    assert max(len(load.data) for load in loads) < 2 * 2**20


def test_a_frame_that_is_taken_up_again_suffers_the_same() -> None:
    habits = read_habits(["drop=0.1", "cut=0.1", "future=0.1", "unknown-label=0.2"], seed=5)
    whole_run = [one.data for load in pack(habits, some(300)) for one in load.sent]
    first = BadPacker(habits, "key", "key:1", 0)
    for frame in some(100):
        first.add(frame)
    second = BadPacker(habits, "key", "key:1", 100)
    for frame in some(300)[100:]:
        second.add(frame)
    assert [one.data for one in (*first.seal().sent, *second.seal().sent)] == whole_run


def test_a_packer_without_habits_sends_the_same_bytes_as_the_plain_one() -> None:
    bad, plain = BadPacker(Habits(), "key", "key:1", 0), PlainPacker()
    for frame in some(MOST_FRAMES):
        assert not any((bad.full, plain.full))
        bad.add(frame)
        plain.add(frame)
    assert bad.full
    assert plain.full
    one, other = bad.seal(), plain.seal()
    assert (one.data, one.frames, one.messages) == (other.data, other.frames, other.messages)
