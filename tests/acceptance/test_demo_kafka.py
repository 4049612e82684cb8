"""The whole system over Kafka, started by one command: the same account as over HTTP."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_INGRESS = [sys.executable, "-c", "from ingress_runtime.cli import main; main()"]
_SECONDS = 280
_OF_THE_WAY = (
    *("via_kafka", "via_http", "failovers", "standstill_seconds"),
    *("seconds", "peak_rss_bytes"),
)


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_INGRESS, "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        env={**os.environ, **environ},
    )


def report(*arguments: str) -> tuple[dict[str, Any], str]:
    """Run `ingress demo --json` to its end and return its report, and what it said meanwhile."""
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found, done.stderr


def account(found: dict[str, Any]) -> dict[str, Any]:
    """Return what does not depend on the way that was taken."""
    return {name: value for name, value in found.items() if name not in _OF_THE_WAY}


@pytest.mark.trials
def test_fleet_over_kafka_is_stored_whole_and_accounted_for() -> None:
    found, said = report("--vehicles", "3", "--speed", "max", "--transport", "kafka")

    assert found["facts_stored"] == found["received"] > 5_000
    assert found["unaccounted"] == found["snapshot_mismatches"] == found["duplicate"] == 0
    assert found["peak_rss_bytes"].keys() >= {"consumer", "publisher-1", "api"}
    for part in ("offset", "topics check", "core_consumer_", "one frame, hop by hop"):
        assert part in said


@pytest.mark.trials
def test_bare_demo_falls_over_in_the_middle_and_returns() -> None:
    found, said = report("--vehicles", "5", "--seconds", "8")

    assert found["facts_stored"] == found["received"]
    assert found["unaccounted"] == found["snapshot_mismatches"] == 0
    assert min(found["via_kafka"], found["via_http"], found["failovers"]) > 0
    assert found["via_kafka"] + found["via_http"] == found["received"]
    assert "the broker hangs" in said
    assert "the broker is back" in said


@pytest.mark.kafka
def test_demo_whose_broker_is_killed_loses_nothing() -> None:
    found, said = report("--vehicles", "5", "--seconds", "12", "--outage", "broker")

    assert found["facts_stored"] == found["received"]
    assert found["unaccounted"] == found["snapshot_mismatches"] == 0
    assert min(found["via_kafka"], found["via_http"], found["failovers"]) > 0
    assert "the broker is killed" in said


@pytest.mark.trials
def test_bare_demo_without_a_broker_goes_over_http_and_says_so(tmp_path: Path) -> None:
    done = run(
        *("--vehicles", "2", "--speed", "max", "--json"),
        INGRESS_TESTBED_KAFKA="installed",
        KAFKA_HOME=str(tmp_path),
        PATH="/usr/bin:/bin",
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["via_kafka"] == 0
    assert "over HTTP: " in done.stderr


def test_demo_over_kafka_without_a_broker_names_the_ways_to_have_one(tmp_path: Path) -> None:
    done = run(
        *("--transport", "kafka", "--vehicles", "2"),
        INGRESS_TESTBED_KAFKA="installed",
        KAFKA_HOME=str(tmp_path),
        PATH="/usr/bin:/bin",
    )

    assert done.returncode == 1
    for way in ("INGRESS_KAFKA_BOOTSTRAP", "make kafka", "[embedded]", "leave --transport kafka"):
        assert way in done.stderr


@pytest.mark.recordings
def test_bus_day_over_kafka_has_the_account_that_it_has_over_http(recordings: Path) -> None:
    day = ("--replay", str(recordings / "viriciti-bus-day.jsonl.gz"), "--speed", "max")
    by_http, _ = report(*day)
    by_kafka, _ = report(*day, "--transport", "kafka")

    assert account(by_kafka) == account(by_http)
    assert by_kafka["received"] == by_kafka["facts_stored"] == 162_481
    assert by_kafka["unaccounted"] == by_kafka["snapshot_mismatches"] == 0
