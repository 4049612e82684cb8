from telematics_publisher.watchdog import Act, Patience, Watchdog

PATIENCE = Patience(ping_after=20, answer_within=10, echo_within=30, silence=3_600)


def watchdog(*, subscribed: bool = True) -> Watchdog:
    dog = Watchdog(PATIENCE, opened=100.0)
    dog.subscribed = subscribed
    return dog


def test_waits_until_a_ping_is_due() -> None:
    assert watchdog().judge(105.0) == (Act.WAIT, 15.0, "")


def test_pings_after_silence_and_waits_for_the_answer() -> None:
    dog = watchdog()
    assert dog.judge(120.0)[0] is Act.PING
    dog.ping_sent(120.0)
    assert dog.judge(121.0) == (Act.WAIT, 9.0, "")


def test_gives_up_a_peer_that_does_not_answer_a_ping() -> None:
    dog = watchdog()
    dog.ping_sent(120.0)
    assert dog.judge(130.0) == (Act.GIVE_UP, 0.0, "no answer to a ping within 10 s")


def test_a_pong_or_a_frame_is_a_sign_of_life() -> None:
    for sign in (Watchdog.pong_came, Watchdog.frame_came):
        dog = watchdog()
        dog.ping_sent(120.0)
        sign(dog, 125.0)
        assert dog.judge(131.0) == (Act.WAIT, 14.0, "")


def test_gives_up_without_an_echo_even_where_pongs_come() -> None:
    dog = watchdog(subscribed=False)
    dog.pong_came(129.0)
    assert dog.judge(129.0) == (Act.WAIT, 1.0, "")
    assert dog.judge(130.0) == (Act.GIVE_UP, 0.0, "no echo within 30 s")


def test_gives_up_after_long_silence_even_where_pongs_come() -> None:
    dog = watchdog()
    dog.pong_came(3_699.0)
    assert dog.judge(3_700.0) == (Act.GIVE_UP, 0.0, "no frame within 3600 s")


def test_does_not_blame_the_peer_for_what_we_did_not_read() -> None:
    dog = watchdog()
    dog.ping_sent(120.0)
    dog.did_not_listen(4_000.0)
    assert dog.judge(4_001.0) == (Act.WAIT, 19.0, "")
