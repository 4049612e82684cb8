import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from ingress_runtime.histograms import Histogram

BOUNDS = (0.5, 1, 2.5)
DURATIONS = st.lists(
    st.one_of(st.integers(-3_000_000, 4_000_000), st.sampled_from([0, 500_000, 1_000_000])),
    max_size=20,
)
NOW = 1_800_000_000_000_000


def samples(histogram: prometheus_client.Histogram) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("le", "")): round(sample.value, 6)
        for metric in histogram.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


def one_by_one(durations: list[int]) -> dict[tuple[str, str], float]:
    """What the library itself makes of them; the sum never falls, as Prometheus wants it."""
    expected = prometheus_client.Histogram("h", "H.", buckets=BOUNDS, registry=None)
    for one in durations:
        expected.observe(one / 1e6)
    return samples(expected) | {("h_sum", ""): max(0.0, round(sum(durations) / 1e6, 6))}


def fresh() -> Histogram:
    return Histogram("h", "H.", buckets=BOUNDS, registry=None)


@given(DURATIONS)
def test_a_batch_counts_as_its_durations_do_one_by_one(durations: list[int]) -> None:
    histogram = fresh()
    histogram.observe_all(durations)
    assert samples(histogram) == one_by_one(durations)


@given(DURATIONS)
def test_instants_count_as_the_time_since_them(durations: list[int]) -> None:
    histogram = fresh()
    histogram.observe_since(sorted(NOW - one for one in durations), NOW)
    assert samples(histogram) == one_by_one(durations)


@given(st.integers(0, 4_000_000), st.integers(0, 5))
def test_one_duration_counts_as_often_as_is_said(micros: int, times: int) -> None:
    histogram = fresh()
    histogram.observe_many(micros, times)
    assert samples(histogram) == one_by_one([micros] * times)


@given(DURATIONS.filter(lambda found: sum(found) >= 0), st.integers(1, 4))
def test_a_duration_may_stand_for_several(durations: list[int], each: int) -> None:
    histogram = fresh()
    histogram.observe_all(durations, each)
    assert samples(histogram) == one_by_one(durations * each)


def test_labelled_histograms_take_batches_too() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "H.", ("hop",), buckets=BOUNDS, registry=registry)
    histogram.labels("core").observe_all([600_000])
    assert b'h_bucket{hop="core",le="1.0"} 1.0' in generate_latest(registry)
