from ingress_testbed.polled.timeline import Lag, Pace, Record, Timeline


def test_a_timeline_knows_what_was_received_until_now() -> None:
    records = [Record("bus", "soc", event, 100 - event, {}) for event in (10, 50, 30)]
    timeline = Timeline(records)
    assert [one.event for one in timeline.records] == [50, 30, 10]
    assert [timeline.known(now) for now in (49, 50, 89, 90)] == [0, 1, 2, 3]
    assert [timeline.place(received) for received in (50, 51, 91)] == [0, 1, 3]


def test_a_fast_fleet_happens_in_less_time() -> None:
    assert Pace().happened(1_000) == 1_000
    assert Pace(first=1_000, begin=50_000, speed=10.0).happened(2_000) == 50_100


def test_half_of_the_lags_are_below_the_median_and_none_above_the_longest() -> None:
    lags = sorted(Lag(352_000, 1_041_000).drawn(str(seed)) for seed in range(1_001))
    assert 320_000 < lags[500] < 400_000
    assert 0 <= lags[0] < lags[-1] <= 1_041_000
    assert Lag(100, 200).times(0).drawn("any") == 0
