import json
from datetime import UTC, datetime
from math import copysign

from hypothesis import given
from hypothesis import strategies as st

from ingress_testbed.recordings import Frame
from ingress_testbed.simulator.sent import Sent, sent
from ingress_testbed.truth import (
    SKEW_MS,
    Latest,
    Position,
    facts_of,
    facts_of_sent,
    truth_of,
    truth_of_sent,
)

POWER = "Vehicle.Powertrain.TractionBattery.CurrentPower"

frames = st.builds(
    Frame,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["odo", "gps", "power", "energy"]),
    st.sampled_from(["1", "1.0", "-0.0", "2.5", '"52.1|5.1"', '"text"', "null", "NaN"]),
    st.integers(0, 3),
)


def only(label: str, value: str) -> object:
    snapshot = truth_of([Frame("bus", label, value, 0)]).snapshot
    return next(((path, latest.value) for (_, path), latest in snapshot.items()), None)


def test_values_are_in_the_units_of_the_catalogue() -> None:
    assert only("power", "0.0011") == (POWER, 1.1)
    assert only("analyses.estimated_range", "140.7") == ("Vehicle.Powertrain.Range", 140700.0)
    assert only("odo", "80766.81") == ("Vehicle.TraveledDistance", 80766.81)
    assert only("gps", '"52.09|-5.1"') == ("Vehicle.CurrentLocation", Position(52.09, -5.1))
    assert only("energy", "53.2") == ("viriciti.energy", 53.2)
    assert only("driver", '"Zoë"') == ("viriciti.driver", "Zoë")
    assert only("doors_open", "true") == ("viriciti.doors_open", 1.0)


def test_conversion_is_exact_and_rounds_once() -> None:
    # 0.1 + 0.7 in binary is not 0.8; digits beyond float64 still decide the rounding.
    assert only("power", "4.35") == (POWER, 4350.0)
    assert only("power", "9007199254740.993" + "0" * 40 + "1") == (POWER, 9007199254740994.0)


def test_minus_zero_is_zero() -> None:
    value = truth_of([Frame("bus", "speed", "-0.0", 0)]).snapshot["bus", "Vehicle.Speed"].value
    assert isinstance(value, float)
    assert copysign(1, value) == 1


def test_what_a_signal_cannot_take_makes_no_fact() -> None:
    for label, value in [
        ("odo", '"12"'),
        ("gps", '"52.1"'),
        ("gps", "52.1"),
        ("energy", "null"),
        ("energy", "NaN"),
        ("energy", "1e999"),
    ]:
        assert only(label, value) is None


def test_the_newest_value_wins_and_at_one_instant_the_greatest_by_the_fixed_order() -> None:
    at_once = [Frame("bus", "state", value, 5) for value in ('"a"', "9", '"b"', "10")]
    truth = truth_of([*at_once, Frame("bus", "state", '"z"', 4)])
    assert truth.snapshot["bus", "viriciti.state"] == Latest(
        "b", datetime(1970, 1, 1, 0, 0, 0, 5_000, tzinfo=UTC)
    )
    assert (truth.facts, truth.frames) == (5, 5)


def test_equal_values_at_one_instant_are_one_fact_however_they_are_written() -> None:
    truth = truth_of(Frame("bus", "odo", value, 1) for value in ("1", "1.0", "1e0", "1"))
    assert (truth.facts, truth.frames) == (1, 4)


@given(st.lists(frames, max_size=12), st.data())
def test_order_and_repetition_change_neither_snapshot_nor_facts(
    sent: list[Frame], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(sent), max_size=5)) if sent else []
    shuffled = data.draw(st.permutations(sent + again))
    once, other = truth_of(sent), truth_of(shuffled)
    assert (other.snapshot, other.facts) == (once.snapshot, once.facts)


ARRIVED = 1_800_000_000_000
HORIZON = ARRIVED + SKEW_MS
_2090 = 3_800_000_000_000


def vehicles(**payload: object) -> Sent:
    fields = {"vid": "bus", "label": "soc", "value": 57.5, "time": ARRIVED, **payload}
    return sent("key", (), json.dumps({"type": "vehicles", "payload": fields}).encode())


def test_a_reading_from_beyond_the_horizon_is_quarantined_and_never_a_fact() -> None:
    frames = [Frame("bus", "soc", "57.5", time) for time in (HORIZON, HORIZON + 1, _2090)]
    truth = truth_of(frames, horizon=HORIZON)
    assert (truth.facts, truth.quarantined, truth.frames) == (1, 2, 3)
    assert facts_of(frames, horizon=HORIZON) == {
        ("bus", "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed", HORIZON, 57.5)
    }


def test_a_stamp_of_2090_is_no_fact_and_one_of_1970_is_one() -> None:
    messages = [vehicles(time=_2090), vehicles(time=5), vehicles(time=ARRIVED, value=58)]
    truth = truth_of_sent(messages, horizon=HORIZON)
    ((_, latest),) = truth.snapshot.items()
    assert latest.value == 58
    assert (truth.facts, truth.quarantined, truth.dead_lettered) == (2, 1, 0)
    assert {time for _, _, time, _ in facts_of_sent(messages, horizon=HORIZON)} == {5, ARRIVED}


def test_what_holds_no_readings_is_empty() -> None:
    silent = [b'{"type":"acl","payload":{}}', b'{"type":"error"}']
    messages = [sent("key", (), data) for data in silent]
    truth = truth_of_sent([*messages, vehicles(value=None)], horizon=HORIZON)
    assert (truth.empty, truth.facts, truth.frames) == (3, 0, 3)


def test_what_cannot_be_read_is_dead_lettered_each_time() -> None:
    unreadable = [b"", b"\xff", b"[]", b'{"type":"vehicles"}', b'{"type":"chargestations"}', b"{"]
    messages = [sent("key", (), data) for data in unreadable]
    messages += [vehicles(vid=""), vehicles(label=7), vehicles(value="full"), vehicles(time=True)]
    messages += [vehicles(time=10**15), vehicles(label="note", value="x" * 257)]
    messages += [vehicles(label="note", value="\x00"), vehicles(label="gps", value="nan|5")]
    truth = truth_of_sent(messages * 2, horizon=HORIZON)
    assert (truth.dead_lettered, truth.facts) == (2 * len(messages), 0)


def test_an_oversized_message_is_dead_lettered_and_a_huge_one_is_never_read() -> None:
    messages = [Sent("key", ("oversized",), 524_289, None), Sent("key", ("huge",), 2**24 + 1, None)]
    truth = truth_of_sent([*messages, vehicles()], horizon=HORIZON)
    assert (truth.dead_lettered, truth.unread, truth.frames, truth.facts) == (1, 1, 2, 1)


def test_digits_of_a_message_are_kept_as_those_of_a_frame() -> None:
    data = b'{"type":"vehicles","payload":{"vid":"bus","label":"power","value":4.35,"time":0}}'
    assert facts_of_sent([sent("key", (), data)], horizon=HORIZON) == {("bus", POWER, 0, 4350.0)}
