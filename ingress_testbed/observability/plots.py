"""Draws dashboards from what a Prometheus has scraped: a page each, laid out as Grafana lays it out.

For where there is no Grafana, and to see whether a dashboard tells a stranger what is wrong. What a
panel shows "now" is what it shows at the end of the window.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from textwrap import shorten

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from ingress_testbed.observability.boards import ROW, Board, Panel
from ingress_testbed.observability.colours import colour_of, palette
from ingress_testbed.observability.prometheus import VARIABLES, Answers, Line, Window
from ingress_testbed.observability.promql import substituted
from ingress_testbed.observability.values import written

_COLUMNS = 24
_WIDTH_INCHES = 19.0
_UNIT_INCHES = 0.34
_SMALL = 6.5
_LEGENDS = 9
_TABLE_ROWS = 12
_LETTERS_A_COLUMN = 6


def draw(board: Board, answers: Answers, window: Window, file: Path) -> None:
    """Draw `board` over `window` into `file`, whose ending chooses the format (png, svg)."""
    height = max(panel.place.y + panel.place.height for panel in board.panels) + 2
    figure = Figure(figsize=(_WIDTH_INCHES, height * _UNIT_INCHES), dpi=100)
    ends = f"{_clock(window.start)} to {_clock(window.end)} UTC"
    figure.text(0.01, 1 - 0.9 / height, f"{board.title}   {ends}", fontsize=13, weight="bold")
    for panel in board.panels:
        axes = figure.add_axes(_rectangle(panel, height))
        if panel.kind == ROW:
            axes.set_axis_off()
            axes.text(0, 0.2, panel.title, fontsize=10, weight="bold", color="#444444")
            axes.axhline(0, color="#bbbbbb")
            continue
        axes.set_title(panel.title, fontsize=8, loc="left", pad=3)
        _KINDS[panel.kind](axes, panel, _series(panel, answers, window), window)
    figure.savefig(file)


Series = Sequence[tuple[str, Line]]
"""The lines of a panel by their names in the legend."""


def _series(panel: Panel, answers: Answers, window: Window) -> Series:
    return [
        (named(target.legend, line) or panel.title, line)
        for target in panel.targets
        for line in answers.over(substituted(target.expr, VARIABLES), window)
    ]


def named(legend: str, line: Line) -> str:
    """Return the legend with each `{{label}}` replaced by the line's; a missing one is empty."""
    return re.sub(r"{{\s*(\w+)\s*}}", lambda found: line.labels.get(found[1], ""), legend)


def _rectangle(panel: Panel, height: int) -> tuple[float, float, float, float]:
    """Return where the panel's axes lie in the figure, from 0 to 1, with room for what is around."""
    place = panel.place
    around = {"timeseries": (0.85, 1.0, 0.25, 2.3), "stat": (0.1, 0.9, 0.1, 0.2)}
    left, top, right, bottom = around.get(panel.kind, (0.1, 1.0, 0.1, 0.8))
    if panel.kind == ROW:
        left, top, right, bottom = 0.1, 0.1, 0.1, 0.2
    if panel.kind == "state-timeline":
        left = 2.2
    return (
        (place.x + left) / _COLUMNS,
        1 - (place.y + 1 + place.height - bottom) / height,
        (place.width - left - right) / _COLUMNS,
        (place.height - top - bottom) / height,
    )


def _lines(axes: Axes, panel: Panel, series: Series, window: Window) -> None:
    colours = palette([name for name, _ in series], panel.colours)
    if panel.stacked:
        times = sorted({at for _, line in series for at, _ in line.points})
        layers = [_on_grid(line, times) for _, line in series]
        if times:
            axes.stackplot(
                times,
                layers,
                colors=[colours[name] for name, _ in series],
                alpha=0.75,
            )
    else:
        for name, line in series:
            times = [at for at, _ in line.points]
            values = [value for _, value in line.points]
            axes.plot(times, values, color=colours[name], linewidth=1.2, marker=".", markersize=2)
    for bound, colour in panel.thresholds if panel.draws_thresholds else ():
        if bound > 0 and axes.get_ylim()[1] > bound / 4:
            axes.axhline(bound, color=colour_of(colour), linewidth=0.8, linestyle="--")
    axes.set_xlim(window.start, window.end)
    if panel.logarithmic and any(value > 0 for _, line in series for _, value in line.points):
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, panel.unit)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _clock(at)))
    axes.xaxis.set_major_locator(MaxNLocator(max(2, panel.place.width // 2)))
    axes.tick_params(labelsize=_SMALL)
    axes.grid(visible=True, linewidth=0.3)
    _legend(axes, panel, series, colours)


def _legend(axes: Axes, panel: Panel, series: Series, colours: Mapping[str, str]) -> None:
    if not series:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color="#999999")
        return
    shown = sorted(series, key=lambda one: -max(value for _, value in one[1].points))[:_LEGENDS]
    columns = max(1, panel.place.width // _LETTERS_A_COLUMN + 1)
    handles = [axes.plot([], [], color=colours[name], linewidth=3)[0] for name, _ in shown]
    texts = [
        f"{shorten(name, 40, placeholder='…')}  {written(line.points[-1][1], panel.unit)}"
        for name, line in shown
    ]
    axes.legend(
        handles,
        texts,
        loc="upper left",
        bbox_to_anchor=(0, -0.13),
        ncols=columns,
        fontsize=_SMALL,
        frameon=False,
        handlelength=0.8,
        columnspacing=1,
        borderaxespad=0,
        labelspacing=0.2,
    )


def _number(axes: Axes, panel: Panel, series: Series, window: Window) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    name, text, colour = "", "no data", "#dddddd"
    newest = [(one, line) for one, line in series if _is_current(line, window)]
    known = [(one, value) for one, line in newest for _, value in line.points if not isnan(value)]
    if known:
        name, value = known[-1]  # as Grafana's lastNotNull
        text = panel.mappings.get(f"{value:g}", written(value, panel.unit))
        colour = colour_of([step for bound, step in panel.thresholds if value >= bound][-1])
        line = newest[-1][1]
        axes.plot(
            [at for at, _ in line.points], [one for _, one in line.points], color="white", lw=1
        )
    axes.set_facecolor(colour)
    axes.text(0.5, 0.55, text, transform=axes.transAxes, ha="center", va="center", fontsize=17)
    if name != panel.title:
        axes.text(0.5, 0.12, name, transform=axes.transAxes, ha="center", fontsize=9)


def _bars(axes: Axes, panel: Panel, series: Series, window: Window) -> None:
    for row, (name, line) in enumerate(series):
        colour = colour_of("green" if name in panel.good else "red")
        spans = [(at - window.start, window.step) for at, value in line.points if value > 0]
        axes.broken_barh(spans, (row - 0.4, 0.8), facecolors=colour)
    axes.set_yticks(range(len(series)), [name for name, _ in series], fontsize=_SMALL)
    axes.set_xlim(0, window.end - window.start)
    axes.set_ylim(-0.6, max(len(series), 1) - 0.4)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _clock(window.start + at)))
    axes.tick_params(labelsize=_SMALL)


def _table(axes: Axes, panel: Panel, series: Series, window: Window) -> None:
    axes.set_axis_off()
    rows = ["  ".join(line.labels.values()) for _, line in series if _is_current(line, window)]
    text = "\n".join(rows[:_TABLE_ROWS]) or "none"
    axes.text(0, 1, text, fontsize=8, va="top", family="monospace")
    _ = panel


def _prose(axes: Axes, panel: Panel, series: Series, window: Window) -> None:
    axes.set_axis_off()
    text = "\n".join(
        "   ".join(cell.strip() for cell in row.split("|")).strip().replace("*", "")
        for row in panel.content.strip().splitlines()
        if not row.startswith("|---")
    )
    axes.text(0, 1, text, fontsize=7.5, va="top", linespacing=1.5)
    _ = series, window


_KINDS: Mapping[str, Callable[[Axes, Panel, Series, Window], None]] = {
    "timeseries": _lines,
    "stat": _number,
    "state-timeline": _bars,
    "table": _table,
    "text": _prose,
}


def _is_current(line: Line, window: Window) -> bool:
    return window.end - line.points[-1][0] <= window.step


def _on_grid(line: Line, times: Sequence[float]) -> list[float]:
    values = dict(line.points)
    return [0.0 if isnan(value := values.get(at, 0.0)) else value for at in times]


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"
