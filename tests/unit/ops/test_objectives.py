"""docs/objectives.md, the rules and the histograms say the same."""

import re
from pathlib import Path

import pytest
import yaml

from core_ingest import hops

ROOT = Path(__file__).parents[3]
RULES = yaml.safe_load((ROOT / "ops" / "prometheus" / "rules" / "objectives.yml").read_text())
RULED = [rule for group in RULES["groups"] for rule in group["rules"]]
DOCUMENT = (ROOT / "docs" / "objectives.md").read_text()

WINDOWS = {"5m", "30m", "1h", "2h", "6h", "1d", "3d"}
BURNING = {
    "Fast": (("1h", "5m", 14.4), ("6h", "30m", 6)),
    "Slowly": (("1d", "2h", 3), ("3d", "6h", 1)),
}
OBJECTIVES = [("delivery", "99.9", 10), ("freshness", "99", 60)]

each_objective = pytest.mark.parametrize(("name", "percent", "seconds"), OBJECTIVES)


@each_objective
def test_an_objective_has_the_bound_of_a_bucket(name: str, percent: str, seconds: int) -> None:
    assert f"**{name}** | {percent} are committed within {seconds} s" in DOCUMENT
    assert seconds in hops.BOUNDS


@each_objective
def test_late_is_what_lies_beyond_that_bucket(name: str, percent: str, seconds: int) -> None:
    del percent
    metric = f"core_ingest_{name}_seconds"
    recorded = {
        rule["record"].rpartition("ratio_rate")[2]: rule["expr"]
        for rule in RULED
        if rule.get("record", "").startswith(f"ingress:{name}_late:")
    }
    assert set(recorded) == WINDOWS
    for window, expression in recorded.items():
        assert f'{metric}_bucket{{le="{float(seconds)}"}}[{window}]' in expression
        assert expression.count(f"{metric}_count[{window}]") == 1


@each_objective
@pytest.mark.parametrize("speed", BURNING)
def test_an_alert_wants_a_long_window_and_a_short_one(
    name: str, percent: str, seconds: int, speed: str
) -> None:
    del seconds
    (rule,) = [one for one in RULED if one.get("alert") == f"{name.capitalize()}BudgetBurns{speed}"]
    allowed = f"{1 - float(percent) / 100:g}"
    expected = {
        (f"ingress:{name}_late:ratio_rate{window}", f"{factor:g}", allowed)
        for long, short, factor in BURNING[speed]
        for window in (long, short)
    }
    found = re.findall(r"(ingress:\S+) > (\S+) \* (\S+)", rule["expr"])
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_document_tells_the_burn_rates() -> None:
    rows = re.findall(
        r"^\| ([\d.]+) \| (\d+) (\w) \| (\d+) (min|h) \|.*\| (page|ticket) \|",
        DOCUMENT,
        re.MULTILINE,
    )
    told = {
        (float(factor), long + unit, short + short_unit.removesuffix("in"), severity)
        for factor, long, unit, short, short_unit, severity in rows
    }
    assert told == {
        (factor, long, short, "page" if speed == "Fast" else "ticket")
        for speed, pairs in BURNING.items()
        for long, short, factor in pairs
    }
