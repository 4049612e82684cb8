"""The rules as they lie in ops/prometheus/rules: alerts, and series that are recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert or a recorded series. `name` is the alert's, or the series'."""

    name: str
    expr: str
    records: bool
    annotations: Mapping[str, str]
    path: Path


def read_rules(directory: Path) -> list[Rule]:
    """Return all rules in `directory`, in the order of the files."""
    return [
        Rule(
            name=rule.get("alert") or rule["record"],
            expr=rule["expr"],
            records="record" in rule,
            annotations=rule.get("annotations", {}),
            path=path,
        )
        for path in sorted(directory.glob("*.yml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
