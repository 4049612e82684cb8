import pytest

from ingress_testbed.metrics_document import Definition
from ingress_testbed.observability.coverage import Empty, strangers

DEFINED = [
    Definition("core_api_frames_total", "counter", (), "frames", "Frames.", "core_api"),
    Definition("core_api_age_seconds", "histogram", (), "seconds", "Age.", "core_api"),
]


@pytest.mark.parametrize(
    "families",
    [
        {"core_api_frames_total", "core_api_age_seconds"},
        {"core_api_frames", "core_api_age_seconds"},  # as OpenMetrics has it
        {"core_api_frames", "core_api_age_seconds", "python_info"},
    ],
)
def test_what_is_served_as_defined_is_no_stranger(families: set[str]) -> None:
    assert strangers(frozenset(families), DEFINED) == []


def test_what_is_served_or_defined_alone_is_told() -> None:
    assert strangers(frozenset({"core_api_frames", "publisher_new_records"}), DEFINED) == [
        "publisher_new_records is served and not defined",
        "core_api_age_seconds is defined and not served",
    ]


@pytest.mark.parametrize(
    ("expr", "excused"),
    [
        ("sum(redpanda_cluster_unavailable_partitions)", True),
        ("sum by (reason) (rate(core_consumer_held_seconds_total[5m])) > 0", True),
        ("sum by (reason) (rate(core_consumer_held_seconds_total[5m]))", False),
        ('core_api_request_seconds_count{status=~"429|503", route=~"/v1/.*"}', True),
        ('core_api_request_seconds_count{route=~"/v1/.*"}', False),
        ("core_ingest_envelopes_total", False),
    ],
)
def test_only_what_a_good_run_does_not_have_may_be_empty(expr: str, excused: bool) -> None:
    assert (Empty("panel", expr).reason is not None) == excused
