from telematics_publisher.standstill import STANDSTILL, Standstill


def test_time_counts_in_which_something_was_sent_and_nothing_acknowledged() -> None:
    now = 100.0
    standstill = Standstill(lambda: now)
    before: float = STANDSTILL._value.get()
    for sent, waited in ((100.0, 0.5), (160.0, 3.0)):  # a minute of silence between them
        now = sent
        standstill.begun()
        now += waited
        standstill.acknowledged()
        standstill.ended()

    assert STANDSTILL._value.get() - before == 2.0
