from typing import Any

import structlog
from structlog.testing import capture_logs

from telematics_publisher.errors import (
    BatchRefused,
    ClockAhead,
    DeadlineExceeded,
    NotAuthorised,
    Unreachable,
)
from telematics_publisher.outage import Outage

AWAY = Unreachable("http://core: connection refused")


class Told:
    """An outage, and what it says; time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pending = 7
        log = structlog.get_logger().bind(workspace="acme")
        self.outage = Outage(log, lambda: self.pending, lambda: self.now)

    def fail_for(self, seconds: int, error: Exception = AWAY) -> None:
        for _ in range(seconds):
            for _ in range(3):  # batches in flight
                self.outage.failed(error)
            self.now += 1.0


def events(logs: Any) -> list[str]:
    return [line["event"] for line in logs]


def test_an_outage_is_told_when_it_begins_and_when_it_ends_and_that_nothing_is_lost() -> None:
    told = Told()
    with capture_logs() as logs:
        told.fail_for(11)
        told.pending = 230
        told.outage.over()
        told.outage.over()
    away, back = logs
    assert (away["event"], away["log_level"], away["workspace"]) == (
        "transport_away",
        "warning",
        "acme",
    )
    assert away["error"] == str(AWAY)
    assert "frames wait in the journal" in away["consequence"]
    assert (back["event"], back["away_seconds"], back["pending"]) == ("transport_back", 11.0, 230)


def test_an_outage_is_recalled_once_a_minute_at_most() -> None:
    told = Told()
    with capture_logs() as logs:
        told.fail_for(181)
    assert events(logs) == ["transport_away"] + ["transport_still_away"] * 3
    assert [line.get("seconds") for line in logs] == [None, 60.0, 120.0, 180.0]


def test_a_core_that_is_back_for_moments_only_does_not_fill_the_log() -> None:
    told = Told()
    with capture_logs() as logs:
        for _ in range(100):
            told.fail_for(1)
            told.outage.over()
    assert len(logs) <= 6
    assert events(logs)[:2] == ["transport_away", "transport_back"]


def test_a_new_outage_after_a_calm_is_told_at_once() -> None:
    told = Told()
    with capture_logs() as logs:
        told.fail_for(2)
        told.outage.over()
        told.now += 10.0
        told.fail_for(1, DeadlineExceeded("no complete answer"))
    assert events(logs) == ["transport_away", "transport_back", "transport_away"]


def test_an_answer_that_refuses_something_is_none_of_a_core_that_is_away() -> None:
    told = Told()
    with capture_logs() as logs:
        told.fail_for(1)
        for error in (
            NotAuthorised("HTTP 401"),
            BatchRefused("HTTP 413", "too_large"),
            ClockAhead("HTTP 503", 1.0, 7_200.0, 300.0),
        ):
            told.outage.failed(error)
    assert events(logs) == ["transport_away", "transport_back"]
