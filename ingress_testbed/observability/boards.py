"""The dashboards as they lie in ops/grafana/dashboards: what a panel asks, and how it looks.

Read from the files, not from the code that makes them: what is checked and plotted is what Grafana gets.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROW = "row"


@dataclass(frozen=True, slots=True)
class Target:
    """A query of a panel."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel is, in Grafana's units: 24 to the width."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. `thresholds` are (from, colour); the first one's `from` is -inf.

    `mappings` are words that stand for values, `content` is a text panel's Markdown, `good` are the
    series of a state timeline that are green.
    """

    kind: str
    title: str
    words: str
    unit: str
    place: Place
    targets: tuple[Target, ...]
    thresholds: tuple[tuple[float, str], ...]
    colours: Mapping[str, str]
    stacked: bool
    logarithmic: bool
    good: frozenset[str]
    mappings: Mapping[str, str]
    content: str

    @property
    def draws_thresholds(self) -> bool:
        """Whether its thresholds are lines in it."""
        return self.kind == "timeseries" and bool(self.thresholds)


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard, its rows' headlines left among the panels (kind `row`)."""

    uid: str
    title: str
    path: Path
    panels: tuple[Panel, ...]
    annotations: tuple[str, ...]

    @property
    def data_panels(self) -> Sequence[Panel]:
        """The panels that ask for something."""
        return [panel for panel in self.panels if panel.targets]


def read_boards(directory: Path) -> list[Board]:
    """Return the dashboards in `directory`, by file name."""
    return [_board(path) for path in sorted(directory.glob("*.json"))]


def _board(path: Path) -> Board:
    found = json.loads(path.read_text("utf-8"))
    return Board(
        uid=found["uid"],
        title=found["title"],
        path=path,
        panels=tuple(_panel(one) for one in found["panels"]),
        annotations=tuple(
            one["expr"] for one in found["annotations"].get("list", []) if "expr" in one
        ),
    )


def _panel(found: Mapping[str, Any]) -> Panel:
    grid = found["gridPos"]
    fields = found.get("fieldConfig", {})
    looks = fields.get("defaults", {})
    overrides = {
        (one["matcher"]["options"], change["id"]): change["value"]
        for one in fields.get("overrides", [])
        for change in one["properties"]
    }
    return Panel(
        kind=found["type"],
        title=found["title"],
        words=found.get("description", ""),
        unit=looks.get("unit", ""),
        place=Place(grid["x"], grid["y"], grid["w"], grid["h"]),
        targets=tuple(
            Target(one["expr"], one.get("legendFormat", "")) for one in found.get("targets", [])
        ),
        thresholds=tuple(
            (float("-inf") if step["value"] is None else step["value"], step["color"])
            for step in looks.get("thresholds", {}).get("steps", [])
        ),
        colours={
            name: value["fixedColor"]
            for (name, kind), value in overrides.items()
            if kind == "color"
        },
        stacked=looks.get("custom", {}).get("stacking", {}).get("mode", "none") == "normal",
        logarithmic=looks.get("custom", {}).get("scaleDistribution", {}).get("type") == "log",
        good=frozenset(name for name, kind in overrides if kind == "thresholds"),
        mappings={
            value: shown["text"]
            for mapping in looks.get("mappings", [])
            for value, shown in mapping["options"].items()
        },
        content=(found.get("options") or {}).get("content", ""),
    )
