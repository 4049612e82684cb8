from hypothesis import given
from hypothesis import strategies as st

from telematics_publisher.breaker import Breaker, Caution, Circuit

CAUTION = Caution(pause=5.0, longest=40.0, probes=3, spacing=1.0, calm=60.0)


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(time: Time) -> Breaker:
    breaker = Breaker(CAUTION, time)
    assert breaker.failed()
    return breaker


def closed_again(breaker: Breaker, time: Time) -> None:
    while not breaker.closed:
        time.now += 0.5
        if breaker.probe():
            breaker.probed(well=True)


def pause(breaker: Breaker, time: Time) -> float:
    begun = time.now
    while not breaker.probe():
        time.now += 0.5
    return time.now - begun


def test_first_failure_opens_and_others_that_were_under_way_do_not_count() -> None:
    breaker = Breaker(CAUTION, Time())
    assert breaker.circuit is Circuit.CLOSED

    assert [breaker.failed() for _ in range(3)] == [True, False, False]
    assert not breaker.closed


def test_probe_that_fails_puts_off_the_next_one_twice_as_long_up_to_a_limit() -> None:
    time = Time()
    breaker = opened(time)

    pauses = []
    for _ in range(6):
        pauses.append(pause(breaker, time))
        breaker.probed(well=False)

    assert pauses == [5.0, 10.0, 20.0, 40.0, 40.0, 40.0]


def test_urgent_probe_waits_for_no_turn_and_puts_nothing_off() -> None:
    time = Time()
    breaker = opened(time)

    for _ in range(10):
        assert breaker.probe(urgent=True)
        assert not breaker.probe(urgent=True)  # one at a time
        breaker.probed(well=False)

    assert pause(breaker, time) == 5.0


def test_failure_between_probes_that_succeed_begins_anew() -> None:
    time = Time()
    breaker = opened(time)
    for well in (True, True, False):
        pause(breaker, time)
        assert not breaker.probed(well=well)

    for last in (False, False, True):
        pause(breaker, time)
        assert breaker.probed(well=True) is last
    assert breaker.closed


def test_way_that_comes_and_goes_is_trusted_later_each_time_until_it_was_calm() -> None:
    time = Time()
    breaker = opened(time)
    pauses = []
    for calm in (1.0, 1.0, 1.0, 61.0):
        pauses.append(pause(breaker, time))
        breaker.probed(well=True)
        closed_again(breaker, time)
        time.now += calm
        breaker.failed()

    assert pauses == [5.0, 10.0, 20.0, 40.0]
    assert pause(breaker, time) == 5.0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 1.0, 7.0])), max_size=200))
def test_a_broker_that_comes_and_goes_is_followed_ever_more_seldom(
    answers: list[tuple[bool, float]],
) -> None:
    time = Time()
    breaker = Breaker(CAUTION, time)
    switched: list[float] = []
    for well, seconds in answers:
        time.now += seconds
        before = breaker.closed
        if breaker.closed and not well:
            breaker.failed()
        elif breaker.probe():
            breaker.probed(well=well)
        if breaker.closed != before:
            switched.append(time.now)

    # Between an opening and the next closing there are a pause and two spacings at least.
    openings, closings = switched[::2], switched[1::2]
    for opening, closing in zip(openings, closings, strict=False):
        assert closing - opening >= CAUTION.pause + 2 * CAUTION.spacing - 1e-6
