"""The panels of the dashboards: what each kind looks like, in one place.

A panel has a title, a text that says what it shows and what bad looks like, a unit, and queries. Every
query gets a refId of its own; every colour that means something is fixed here, so that a hop or an
outcome has the same one everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TypeAlias

from grafana_foundation_sdk.builders import common, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery as AnyQuery
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

Panel: TypeAlias = timeseries.Panel | stat.Panel | statetimeline.Panel | table.Panel | text.Panel

SOURCE = DataSourceRef("prometheus", "${source}")
"""The data source that is chosen at the dashboard's top."""

GREEN, YELLOW, ORANGE, RED = "green", "yellow", "orange", "red"
BLUE, PURPLE, GREY = "blue", "purple", "#8e8e8e"

Colours: TypeAlias = Mapping[str, str]
"""Colours by the name in the legend."""

HOPS: Colours = {"provider": BLUE, "publisher": ORANGE, "transport": PURPLE, "core": GREEN}
PLACES: Colours = {"journal": ORANGE, "topic": PURPLE, "API queue": GREEN, "provider": BLUE}
OUTCOMES: Colours = {
    "accepted": GREEN,
    "unchanged": "light-green",
    "conflict": PURPLE,
    "stale": YELLOW,
    "duplicate": BLUE,
    "quarantined": ORANGE,
    "rejected": "light-red",
    "empty": GREY,
    "dead_lettered": RED,
    "control": "light-blue",
    "refused": "dark-red",
}
WAYS: Colours = {"kafka": PURPLE, "http": BLUE}
QUANTILES: Colours = {"median": BLUE, "p99": ORANGE, "limit": RED}


@dataclass(frozen=True, slots=True)
class Query:
    """An expression in PromQL, and the name of its series in the legend."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where on a value is worth a look (`warn`), and from where on it is wrong (`bad`).

    With `falling`, what lies below is worse.
    """

    warn: float | None
    bad: float | None
    falling: bool = False

    def steps(self) -> list[Threshold]:
        """Return the steps as Grafana has them: a colour from a value on, the first from -∞."""
        if self.falling:
            bounds = [(self.bad, ORANGE), (self.warn, GREEN)]
            return [Threshold(color=RED), *self._known(bounds)]
        return [Threshold(color=GREEN), *self._known([(self.warn, ORANGE), (self.bad, RED)])]

    @staticmethod
    def _known(bounds: Sequence[tuple[float | None, str]]) -> list[Threshold]:
        return [Threshold(value, colour) for value, colour in bounds if value is not None]


NEVER = Bounds(None, 1)
"""Of what must be 0."""


def lines(  # noqa: PLR0913 — a panel has so many sides
    title: str,
    words: str,
    unit: str,
    *queries: Query,
    bounds: Bounds | None = None,
    colours: Colours = QUANTILES,
    stacked: bool = False,
    far_apart: bool = False,
    width: int = 12,
) -> timeseries.Panel:
    """Return a panel of lines over time, or of areas on top of each other. Bounds are dashed.

    Lines that are `far_apart` get a logarithmic scale.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(words)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(8)
        .line_width(1)
        .fill_opacity(60 if stacked else 8)
        .show_points(looks.VisibilityMode.AUTO)
        .tooltip(
            common.VizTooltipOptions()
            .mode(looks.TooltipDisplayMode.MULTI)
            .sort(looks.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .targets(_targets(queries))
    )
    for name, colour in colours.items():
        panel.override_by_name(name, [_paint(colour)])
    if far_apart:
        panel.scale_distribution(
            common.ScaleDistributionConfig().type(looks.ScaleDistribution.LOG).log(10)
        )
    else:
        panel.min(0)
    if stacked:
        panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
    if bounds is not None:
        panel.thresholds(_thresholds(bounds))
        panel.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(looks.GraphTresholdsStyleMode.DASHED)
        )
    return panel


def number(  # noqa: PLR0913 — likewise
    title: str,
    words: str,
    unit: str,
    query: Query,
    bounds: Bounds,
    *,
    width: int = 4,
    named: bool = False,
    words_for: Mapping[int, str] | None = None,
) -> stat.Panel:
    """Return a panel of the newest value, on the colour of its bounds.

    `named`: with its legend; the query may give another series from time to time. `words_for` are
    shown instead of these values.
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(words)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(4)
        .thresholds(_thresholds(bounds))
        .color_mode(looks.BigValueColorMode.BACKGROUND)
        .graph_mode(looks.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
        .targets([_target(query, "A").instant() if named else _target(query, "A").range()])
    )
    if named:
        panel.text_mode(looks.BigValueTextMode.VALUE_AND_NAME)
    if words_for is not None:
        texts = {str(value): ValueMappingResult(text=text) for value, text in words_for.items()}
        panel.mappings([ValueMap(texts)])
    return panel


def states(
    title: str, words: str, *queries: Query, good: Sequence[str], width: int = 12
) -> statetimeline.Panel:
    """Return a panel with a bar for each series while it is not 0: green if `good`, else red."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(words)
        .unit("none")
        .datasource(SOURCE)
        .span(width)
        .height(6)
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(_on(RED)))
        .show_value(looks.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .legend(common.VizLegendOptions().show_legend(False))
        .targets(_targets(queries))
    )
    for name in good:
        on = {"mode": ThresholdsMode.ABSOLUTE, "steps": _on(GREEN)}
        panel.override_by_name(name, [DynamicConfigValue("thresholds", on)])
    return panel


def rows(title: str, words: str, unit: str, query: Query, *, width: int = 12) -> table.Panel:
    """Return a table of the newest values, the greatest first: a row a series, a column a label."""
    return (
        table.Panel()
        .title(title)
        .description(words)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(8)
        .sort_by([common.TableSortByFieldState().display_name("Value").desc(True)])
        .no_value("none")
        .with_transformation(
            DataTransformerConfig("organize", options={"excludeByName": {"Time": True}})
        )
        .targets([_target(query, "A").instant().format(PromQueryFormat.TABLE)])
    )


def prose(title: str, words: str, markdown: str, *, width: int = 24, height: int = 6) -> text.Panel:
    """Return a panel of words."""
    return (
        text.Panel()
        .title(title)
        .description(words)
        .span(width)
        .height(height)
        .mode(TextMode.MARKDOWN)
        .content(markdown)
    )


def _targets(queries: Sequence[Query]) -> list[Builder[AnyQuery]]:
    return [
        _target(query, ref_id).range()
        for query, ref_id in zip(queries, ascii_uppercase, strict=False)
    ]


def _target(query: Query, ref_id: str) -> Dataquery:
    return (
        Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref_id).datasource(SOURCE)
    )


def _thresholds(bounds: Bounds) -> ThresholdsConfig:
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(bounds.steps())


def _on(colour: str) -> list[Threshold]:
    return [Threshold(color="transparent"), Threshold(0.5, colour)]


def _paint(colour: str) -> DynamicConfigValue:
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
