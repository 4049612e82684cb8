"""The alerts' structure. What they compute is tested by promtool: see ops/prometheus/tests."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

PROMETHEUS = Path(__file__).parents[3] / "ops" / "prometheus"


def groups(kind: str, key: str) -> list[dict[str, Any]]:
    return [
        group
        for path in sorted((PROMETHEUS / kind).glob("*.yml"))
        for group in yaml.safe_load(path.read_text())[key]
    ]


ALERTS: list[dict[str, Any]] = [
    rule for group in groups("rules", "groups") for rule in group["rules"] if "alert" in rule
]
each_alert = pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])


def expectations() -> dict[str, list[bool]]:
    """Return for each alert whether it is expected to fire, test by test."""
    found = defaultdict(list)
    for group in groups("tests", "tests"):
        for one in group["alert_rule_test"]:
            found[one["alertname"]].append(bool(one["exp_alerts"]))
    return found


EXPECTED = expectations()


def test_each_alert_has_a_name_of_its_own() -> None:
    assert len(ALERTS) > 30
    assert Counter(rule["alert"] for rule in ALERTS).most_common(1)[0][1] == 1


@each_alert
def test_an_alert_says_how_urgent_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"ops/runbooks/{rule['alert']}.md"


@each_alert
def test_its_summary_is_one_sentence(rule: dict[str, Any]) -> None:
    summary = rule["annotations"]["summary"]
    assert re.fullmatch(r"[A-Z][^.]*\.", re.sub(r"\{\{.*?\}\}", "X", summary))


@each_alert
def test_promtool_sees_it_fire_and_not_fire(rule: dict[str, Any]) -> None:
    assert set(EXPECTED[rule["alert"]]) == {True, False}


def test_promtool_tests_no_alert_that_there_is_not() -> None:
    assert set(EXPECTED) == {rule["alert"] for rule in ALERTS}


def test_rules_on_processes_name_jobs_that_are_scraped() -> None:
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    jobs = {one["job_name"] for one in scraped}
    named = {
        job
        for rule in ALERTS
        for matched in re.findall(r'job=~?"([^"]+)"', rule["expr"])
        for job in matched.split("|")
    }
    assert named == {"publisher", "api", "consumer", "redpanda"}
    assert named <= jobs
