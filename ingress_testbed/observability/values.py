"""Values with their units, in few characters, as Grafana writes them."""

from collections.abc import Mapping
from math import isfinite, isnan

_PER_SECOND: Mapping[str, str] = {
    "ops": "/s",
    "reqps": "/s",
    "recps": "/s",
    "rowsps": "/s",
}
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def written(value: float, unit: str) -> str:
    """Return `value` in Grafana's unit `unit`, three digits of it."""
    if isnan(value):
        return "-"
    if not isfinite(value):
        return "∞"
    if unit == "s":
        return _duration(value)
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit in {"bytes", "Bps"}:
        return _scaled(value, 1_024, ("B", "KiB", "MiB", "GiB", "TiB")) + "/s" * (unit == "Bps")
    return _scaled(value, 1_000, ("", "K", "M", "G")).rstrip() + _PER_SECOND.get(unit, "")


def _duration(seconds: float) -> str:
    size = abs(seconds)
    if size < 1:
        return f"{seconds * 1_000:.3g} ms"
    for one, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if size >= one:
            return f"{seconds / one:.3g} {name}"
    return f"{seconds:.3g} s"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    for name in names[:-1]:
        if abs(value) < base:
            return f"{value:.3g} {name}"
        value /= base
    return f"{value:.3g} {names[-1]}"
