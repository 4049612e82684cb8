import pytest

from ingress_runtime.status.reading import NotMetrics, Reading, parse
from ingress_runtime.status.window import Span, Window

NOW = 1_000.0


def reading(text: str, at: float = NOW) -> Reading:
    return parse(text, at)


def process(started: float, **counters: float) -> str:
    lines = [f"process_start_time_seconds {started}"]
    lines += [f"{name}_total {value}" for name, value in counters.items()]
    return "\n".join([*lines, ""])


def span(before: str | None, after: str, seconds: float = 10.0) -> Span:
    earlier = None if before is None else reading(before, NOW - seconds)
    return Span(earlier, reading(after))


@pytest.mark.parametrize(
    ("before", "after", "grown"),
    [
        (process(1, frames=100), process(1, frames=150), 50.0),
        (process(1, frames=100), process(1, frames=100), 0.0),
        (process(1, frames=100), process(1, frames=30), 30.0),  # it fell: it began again from 0
        (process(1, frames=100), process(995, frames=130), 130.0),  # another process by now
        (process(1), process(1, frames=7), 7.0),  # a series that is new
        (None, process(900, frames=150), 150.0),  # all since the start
    ],
)
def test_a_counter_grows_by_what_was_counted_also_over_a_reset(
    before: str | None, after: str, grown: float
) -> None:
    window = Window([span(before, after)], NOW)
    assert window.growth("frames_total") == grown


def test_a_rate_is_by_the_seconds_between_the_readings_of_each_process() -> None:
    spans = [
        span(process(1, frames=0), process(1, frames=50), seconds=10),
        span(process(1, frames=0), process(1, frames=50), seconds=5),
    ]
    assert Window(spans, NOW).rate("frames_total") == 5.0 + 10.0


def test_since_the_start_a_rate_is_by_the_age_of_the_process() -> None:
    window = Window([span(None, process(NOW - 50, frames=100))], NOW, since_start=True)
    assert window.rate("frames_total") == 2.0
    assert window.seconds == 50.0


def test_a_process_that_does_not_say_when_it_started_has_no_rate_since_then() -> None:
    window = Window([span(None, "frames_total 100\n")], NOW, since_start=True)
    assert window.rate("frames_total") is None
    assert window.growth("frames_total") == 100.0


def test_a_metric_that_nobody_has_is_unknown_and_one_without_a_series_is_0() -> None:
    window = Window([span(None, "# TYPE refused counter\n")], NOW)
    assert window.growth("refused_total") == 0.0
    assert window.total("frames_total") is None
    assert window.rate("frames_total") is None
    assert window.most("frames_total") is None
    assert window.mean("frames") is None


def test_labels_match_and_group() -> None:
    text = """
lag{partition="0",topic="a"} 3
lag{partition="1",topic="a"} 4
lag{partition="0",topic="b"} 9
"""
    window = Window([span(None, text), span(None, 'lag{partition="0",topic="a"} 10\n')], NOW)
    assert window.total("lag") == 26.0
    assert window.total("lag", topic="a") == 17.0
    assert window.most("lag", topic="a") == 10.0
    assert window.totals("lag", ["partition"]) == {("0",): 22.0, ("1",): 4.0}
    assert window.maxima("lag", ["partition"]) == {("0",): 10.0, ("1",): 4.0}


def test_an_enum_is_in_the_states_that_any_process_is_in() -> None:
    closed = 'breaker{breaker="closed"} 1\nbreaker{breaker="open"} 0\n'
    opened = 'breaker{breaker="closed"} 0\nbreaker{breaker="open"} 1\n'
    assert Window([span(None, closed)], NOW).state("breaker") == {"closed"}
    assert Window([span(None, closed), span(None, opened)], NOW).state("breaker") == {
        "closed",
        "open",
    }


def histogram(first: int, second: int) -> str:
    return f"""# TYPE hop_seconds histogram
hop_seconds_bucket{{hop="core",le="1.0"}} {first}
hop_seconds_bucket{{hop="core",le="2.0"}} {first + second}
hop_seconds_bucket{{hop="core",le="+Inf"}} {first + second}
hop_seconds_sum{{hop="core"}} {first * 0.5 + second * 1.5}
hop_seconds_count{{hop="core"}} {first + second}
"""


def test_quantiles_are_of_what_was_observed_within_the_window_alone() -> None:
    window = Window([span(histogram(1_000, 0), histogram(1_000, 10))], NOW)
    assert window.quantile(0.5, "hop_seconds", hop="core") == 1.5
    assert window.mean("hop_seconds", hop="core") == 1.5
    assert window.quantile(0.5, "hop_seconds", hop="provider") is None


def test_quantiles_are_over_all_processes() -> None:
    spans = [span(histogram(0, 0), histogram(10, 0)), span(histogram(0, 0), histogram(0, 10))]
    assert Window(spans, NOW).quantile(0.5, "hop_seconds") == 1.0


@pytest.mark.parametrize("text", ["<html>", "frames_total one\n", 'a{b="c" 1\n'])
def test_what_is_no_metrics_is_refused(text: str) -> None:
    with pytest.raises(NotMetrics, match="not in Prometheus' text format"):
        parse(text, NOW)


def test_labels_cannot_steer_a_terminal() -> None:
    found = parse('frames_total{provider="a\x1b[2Jb"} 1\n', NOW)
    assert list(found.series) == [("frames_total", (("provider", "a�[2Jb"),))]
