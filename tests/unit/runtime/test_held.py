import pytest
from prometheus_client import CollectorRegistry

from ingress_runtime.held import HeldSeconds


class Bench:
    """A counter in a registry of its own, and a clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        self.registry = CollectorRegistry()
        self.held = HeldSeconds(
            "queue_held_seconds_total",
            "Held.",
            ["reason"],
            known=[("full",)],
            registry=self.registry,
        )

    def clock(self) -> float:
        return self.now

    def counted(self, reason: str) -> float | None:
        return self.registry.get_sample_value("queue_held_seconds_total", {"reason": reason})


def test_a_known_reason_is_there_from_the_start() -> None:
    bench = Bench()
    assert bench.counted("full") == 0.0
    assert bench.counted("slow") is None


def test_what_goes_on_is_counted_in_the_middle_of_it() -> None:
    bench = Bench()
    hold = bench.held.hold(bench.clock)
    hold.begin("full")
    bench.now += 3.0
    assert bench.counted("full") == 3.0
    bench.now += 4.0
    assert bench.counted("full") == 7.0
    hold.end()
    bench.now += 50.0
    assert bench.counted("full") == 7.0


def test_one_hold_counts_for_one_reason_at_a_time() -> None:
    bench = Bench()
    hold = bench.held.hold(bench.clock)
    hold.begin("full")
    bench.now += 1.0
    hold.begin("full")
    bench.now += 1.0
    hold.begin("slow")
    bench.now += 5.0
    assert (bench.counted("full"), bench.counted("slow")) == (2.0, 5.0)


def test_several_holds_count_each() -> None:
    bench = Bench()
    holds = [bench.held.hold(bench.clock) for _ in range(3)]
    for hold in holds:
        hold.begin("full")
    bench.now += 2.0
    holds[0].end()
    bench.now += 1.0
    assert bench.counted("full") == 2.0 + 3.0 + 3.0


def test_what_is_allowed_counts_anew_in_each_hold() -> None:
    bench = Bench()
    hold = bench.held.hold(bench.clock, allowed=1.0)
    hold.begin("full")
    bench.now += 0.5
    assert bench.counted("full") == 0.0
    bench.now += 1.5
    assert bench.counted("full") == 1.0
    hold.again()
    bench.now += 1.5
    assert bench.counted("full") == 1.5
    assert hold.lasts


def test_ending_what_does_not_last_counts_nothing() -> None:
    bench = Bench()
    hold = bench.held.hold(bench.clock)
    hold.end()
    hold.again()
    bench.now += 9.0
    assert not hold.lasts
    assert bench.counted("full") == 0.0


def test_a_context_ends_its_hold_whatever_happens() -> None:
    bench = Bench()
    hold = bench.held.hold(bench.clock)

    def fail() -> None:
        with hold.lasting("full"):
            bench.now += 1.0
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 — the one above
        fail()
    bench.now += 9.0
    assert bench.counted("full") == 1.0


def test_without_labels_there_is_one_counter() -> None:
    registry, now = CollectorRegistry(), 0.0
    held = HeldSeconds("still_seconds_total", "Still.", registry=registry)
    assert registry.get_sample_value("still_seconds_total") == 0.0
    held.hold(lambda: now).begin()
    now = 2.0
    assert registry.get_sample_value("still_seconds_total") == 2.0
