import json
from dataclasses import replace
from typing import Any

import pytest

from ingress_testbed.demo.report import Expected, Report, differences

GOOD = Report(
    received=10,
    control=2,
    accepted=5,
    unchanged=2,
    stale=1,
    duplicate=1,
    conflict=1,
    empty=0,
    quarantined=0,
    dead_lettered=0,
    dropped=0,
    in_flight=0,
    unaccounted=0,
    snapshot_mismatches=0,
    facts_stored=9,
    via_kafka=7,
    via_http=3,
    failovers=1,
    standstill_seconds=0.5,
    seconds=1.25,
    peak_rss_bytes={"api": 70_000_000},
)
EXPECTED = Expected(sent=10, facts=9)


def test_run_in_which_everything_settled_and_matches_has_no_differences() -> None:
    assert list(differences(GOOD, EXPECTED)) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"received": 9, "accepted": 4}, "sent"),
        ({"in_flight": 1, "accepted": 4}, "in flight"),
        ({"unaccounted": 1, "accepted": 4}, "unaccounted"),
        ({"accepted": 4}, "equation"),
        ({"facts_stored": 8}, "facts"),
        ({"snapshot_mismatches": 1}, "snapshot"),
    ],
)
def test_each_thing_that_is_wrong_is_named(change: dict[str, Any], word: str) -> None:
    (sentence,) = differences(replace(GOOD, **change), EXPECTED)

    assert word in sentence


def test_json_is_one_line_with_every_number_that_was_promised() -> None:
    line = GOOD.to_json()

    assert "\n" not in line
    assert list(json.loads(line)) == [
        "received",
        "control",
        "accepted",
        "unchanged",
        "stale",
        "duplicate",
        "conflict",
        "empty",
        "quarantined",
        "dead_lettered",
        "dropped",
        "in_flight",
        "unaccounted",
        "snapshot_mismatches",
        "facts_stored",
        "via_kafka",
        "via_http",
        "failovers",
        "standstill_seconds",
        "seconds",
        "peak_rss_bytes",
    ]
