from prometheus_client import REGISTRY

from telematics_publisher.standstill import Standstill


def counted() -> float:
    return REGISTRY.get_sample_value("publisher_standstill_seconds_total") or 0.0


def test_time_counts_in_which_something_was_sent_and_nothing_acknowledged() -> None:
    now = 100.0
    standstill = Standstill(lambda: now)
    before = counted()
    for sent, waited in ((100.0, 0.5), (160.0, 3.0)):  # a minute of silence between them
        now = sent
        standstill.begun()
        now += waited
        standstill.acknowledged()
        standstill.ended()

    assert counted() - before == 2.0


def test_a_standstill_is_seen_while_it_lasts_and_stays_counted_when_its_batch_is_given_up() -> None:
    now = 100.0
    standstill = Standstill(lambda: now)
    before = counted()
    standstill.begun()
    now += 61.0
    assert counted() - before == 60.0
    standstill.ended()
    now += 600.0
    assert counted() - before == 60.0
