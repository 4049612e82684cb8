"""A report as a picture: what was achieved, and how long it took, against what was intended. SVG."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from ingress_testbed.load.report import PERCENTS, Report

_WIDTH, _HEIGHT = 1_000, 430
_LEFT, _TOP, _SIZE_X, _SIZE_Y, _GAP = 80, 70, 350, 280, 140
_TICKS = 5
_LEAST_LATENCY = 1e-4  # seconds; a logarithm has no zero
_COLOURS = ("#4c9f70", "#3b7dd8", "#e08a1e", "#c0392b")
_INK, _FAINT = "#333333", "#dddddd"
_LABEL_HEIGHT = 13
_NAMES = {"http": "HTTP", "kafka": "Kafka"}

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class _Axes:
    """A panel: where values lie in the picture."""

    x: Scale
    y: Scale
    left: float


def svg(report: Report) -> str:
    """Return the picture of a report that has steps."""
    steps = report.steps
    widest = max(step.intended_rate for step in steps) * 1.05 or 1.0
    rates = _axes(_LEFT, widest, _linear(widest, _SIZE_Y))
    slowest = max(step.tally.corrected.max for step in steps)
    lowest = min(step.tally.corrected.percentile(PERCENTS[0]) for step in steps)
    low = floor(log10(max(lowest, _LEAST_LATENCY)))
    high = max(low + 1, ceil(log10(max(slowest, _LEAST_LATENCY))))
    latencies = _axes(_LEFT + _SIZE_X + _GAP, widest, _logarithmic(low, high, _SIZE_Y))
    parts = [
        *_frame(report),
        *_grid(rates, widest, [(rate, f"{rate:,.0f}") for rate in _ticks(widest)]),
        *_grid(latencies, widest, [(10.0**at, _decade(at)) for at in range(low, high + 1)]),
        *_titles(rates, "achieved messages/s (dashed: all of them)"),
        *_titles(latencies, "latency from when a message was due"),
        _path(rates, [(0, 0), (widest, widest)], "#999999", "4 4"),
        *_curve(rates, [(one.intended_rate, one.achieved_rate) for one in steps], _COLOURS[1]),
    ]
    ends = []
    for percent, colour in zip(PERCENTS, _COLOURS, strict=True):
        points = [
            (one.intended_rate, max(one.tally.corrected.percentile(percent), _LEAST_LATENCY))
            for one in steps
        ]
        parts += _curve(latencies, points, colour)
        ends.append((latencies.y(points[-1][1]), f"p{percent:g}", colour))
    parts += _labels(latencies.x(steps[-1].intended_rate) + 9, ends)
    found = report.saturation
    if found is not None:
        parts += [
            *_mark(rates, found.rate, "saturated"),
            *_mark(latencies, found.rate, "saturated"),
        ]
    return "\n".join((*parts, "</svg>", ""))


def _axes(left: float, widest: float, y: Scale) -> _Axes:
    across = _linear(widest, _SIZE_X)
    return _Axes(lambda value: left + across(value), lambda value: _TOP + _SIZE_Y - y(value), left)


def _linear(greatest: float, size: float) -> Scale:
    return lambda value: value / greatest * size


def _logarithmic(low: int, high: int, size: float) -> Scale:
    return lambda value: (log10(value) - low) / (high - low) * size


def _ticks(greatest: float) -> Iterator[float]:
    """Yield round numbers from 0 to `greatest`, a few of them."""
    raw = greatest / _TICKS
    magnitude = 10.0 ** floor(log10(raw))
    step = next(each * magnitude for each in (1, 2, 5, 10) if each * magnitude >= raw)
    for number in range(int(greatest / step) + 1):
        yield number * step


def _decade(exponent: int) -> str:
    """Return a power of ten of seconds as people read it."""
    seconds = 10.0**exponent
    if seconds >= 1:
        return f"{seconds:g} s"
    return f"{seconds * 1_000:g} ms"


def _frame(report: Report) -> Iterator[str]:
    plan = report.steps[0].plan
    title = f"ingress load over {_NAMES.get(report.transport, report.transport)}"
    each = f"each vehicle every {plan.interval:g} s, {plan.duration:g} s a step"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12" fill="{_INK}">'
    )
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    yield _text(_LEFT, 26, f"{title}: {each}", "start", ' font-size="16"')


def _grid(axes: _Axes, widest: float, rows: Sequence[tuple[float, str]]) -> Iterator[str]:
    bottom = _TOP + _SIZE_Y
    for value, label in rows:
        y = axes.y(value)
        yield _line(axes.left, y, axes.left + _SIZE_X, y, _FAINT)
        yield _text(axes.left - 8, y + 4, label, "end")
    for value in _ticks(widest):
        x = axes.x(value)
        yield _line(x, bottom, x, bottom + 5, _INK)
        yield _text(x, bottom + 20, f"{value:,.0f}", "middle")
    yield _line(axes.left, bottom, axes.left + _SIZE_X, bottom, _INK)
    yield _line(axes.left, _TOP, axes.left, bottom, _INK)


def _titles(axes: _Axes, upright: str) -> Iterator[str]:
    yield _text(axes.left, _TOP - 14, upright, "start", ' font-weight="bold"')
    yield _text(axes.left + _SIZE_X / 2, _TOP + _SIZE_Y + 42, "intended messages/s", "middle")


def _curve(axes: _Axes, points: Sequence[tuple[float, float]], colour: str) -> Iterator[str]:
    yield _path(axes, points, colour)
    for x, y in points:
        yield f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="3.5" fill="{colour}"/>'


def _path(
    axes: _Axes, points: Sequence[tuple[float, float]], colour: str, dashes: str = "none"
) -> str:
    where = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in points)
    return (
        f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="2" '
        f'stroke-dasharray="{dashes}"/>'
    )


def _labels(x: float, ends: Sequence[tuple[float, str, str]]) -> Iterator[str]:
    """Yield the names of curves at their ends, pushed apart where they would overlap."""
    above = float("inf")
    for y, label, colour in sorted(ends, reverse=True):
        above = min(y, above - _LABEL_HEIGHT)
        yield _text(x, above + 4, label, "start", f' fill="{colour}"')


def _mark(axes: _Axes, rate: float, label: str) -> Iterator[str]:
    x = axes.x(rate)
    yield (
        f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_TOP + _SIZE_Y}" '
        f'stroke="{_COLOURS[3]}" stroke-dasharray="2 4"/>'
    )
    yield _text(x, _TOP - 4, label, "middle", f' fill="{_COLOURS[3]}"')


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
