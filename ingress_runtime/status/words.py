"""How numbers read: three digits that matter, and their unit. Pure."""

import math
from collections.abc import Callable, Mapping

from ingress_runtime.status.section import Bytes, Unit, Value

NOTHING = "-"
"""Stands for what no process tells."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_KIB = 1_024


def shown(value: Value, unit: Unit) -> str:
    """Return a value for people."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, str):
        return value
    return _SHOWN[Unit.BYTES if isinstance(value, Bytes) else unit](value)


def seconds(value: float) -> str:
    """Return a length of time: `3.2 ms`, `420 ms`, `1.5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if value < 0:
        return f"-{seconds(-value)}"
    if value < 0.9995:  # noqa: PLR2004 — from here on it rounds to 1 s
        return f"{_short(value * 1_000)} ms" if value else "0 s"
    if value < 59.95:  # noqa: PLR2004 — from here on it rounds to 1 min
        return f"{_short(value)} s"
    whole = round(value)
    for larger, smaller, names in (
        (_DAY, _HOUR, ("d", "h")),
        (_HOUR, _MINUTE, ("h", "min")),
        (_MINUTE, 1, ("min", "s")),
    ):
        if whole >= larger:
            rest = whole % larger // smaller
            return f"{whole // larger} {names[0]}" + (f" {rest} {names[1]}" if rest else "")
    return f"{whole} s"


def size(value: float) -> str:
    """Return bytes: `512 B`, `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if value < _KIB:
            return f"{_short(value)} {unit}"
        value /= _KIB
    return f"{value:,.1f} GiB"


def _short(value: float) -> str:
    """Return one decimal below ten, none above."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"  # noqa: PLR2004


def _number(value: float) -> str:
    if value == 0:
        return "0"
    if value < 0.095:  # noqa: PLR2004 — one decimal would lose it
        return f"{value:.2f}" if value >= 0.005 else "<0.01"  # noqa: PLR2004
    return _short(value) if value < 99.5 else f"{value:,.0f}"  # noqa: PLR2004


_SHOWN: Mapping[Unit, Callable[[float], str]] = {
    Unit.NUMBER: lambda value: f"{value:,.0f}",
    Unit.RATE: lambda value: f"{_number(value)}/s",
    Unit.SECONDS: seconds,
    Unit.BYTES: size,
    Unit.SHARE: lambda value: f"{value * 100:.0f} %",
    Unit.TEXT: lambda value: f"{value:g}",
}
