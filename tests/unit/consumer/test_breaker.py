from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from core_consumer.breaker import EXCUSED, Breaker
from core_ingest.outcome import PLAIN, Outcome, OutcomeKind

GOOD = PLAIN[OutcomeKind.ACCEPTED]
BAD = Outcome(OutcomeKind.DEAD_LETTERED, "not_json")


def breaker() -> Breaker:
    return Breaker(window=100, share=0.9)


def test_it_opens_when_nearly_everything_is_rejected() -> None:
    tried = breaker()
    assert not tried.observe([[GOOD] * 10])
    assert not tried.observe([[BAD] * 50])
    assert tried.observe([[BAD] * 40, [BAD] * 10])
    assert tried.rejected == (100, 100)


def test_it_judges_the_newest_records_only() -> None:
    tried = breaker()
    tried.observe([[GOOD] * 1_000])
    assert not tried.observe([[BAD] * 99])
    assert tried.observe([[BAD]])


def test_one_poison_record_in_a_batch_of_good_ones_is_nothing() -> None:
    tried = breaker()
    assert not any(tried.observe([[GOOD] * 499 + [BAD]]) for _ in range(1_000))


def test_a_few_records_are_no_ground_to_stop() -> None:
    tried = breaker()
    assert not tried.observe([[BAD] * 9])
    assert tried.observe([[BAD]])


def test_what_an_upgrade_or_a_clock_mends_does_not_count() -> None:
    tried = breaker()
    for reason in EXCUSED:
        assert not tried.observe([[Outcome(OutcomeKind.DEAD_LETTERED, reason)] * 1_000])
    assert tried.rejected == (0, 0)


def test_open_it_stays_open() -> None:
    tried = breaker()
    tried.observe([[BAD] * 100])
    assert tried.observe([[GOOD] * 10_000])


@given(st.lists(st.lists(st.sampled_from([GOOD, BAD]), max_size=60), max_size=30))
def test_it_has_seen_a_whole_window_and_not_more_than_that_needs(
    batches: list[Sequence[Outcome]],
) -> None:
    tried = breaker()
    for batch in batches:
        tried.observe([batch])
    newest: list[Sequence[Outcome]] = []
    for batch in reversed(batches):
        if sum(map(len, newest)) >= 100:
            break
        newest.append(batch)
    flat = [outcome for batch in newest for outcome in batch]
    assert tried.rejected == (flat.count(BAD), len(flat))
