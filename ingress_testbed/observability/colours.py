"""Grafana's named colours, as its dark theme shows them, and its palette for series without one."""

from collections.abc import Mapping, Sequence

_NAMED: Mapping[str, str] = {
    "green": "#73bf69",
    "light-green": "#a9dba3",
    "yellow": "#fade2a",
    "orange": "#ff9830",
    "dark-orange": "#fa6400",
    "light-orange": "#ffb357",
    "red": "#f2495c",
    "dark-red": "#c4162a",
    "light-red": "#ff9aa5",
    "blue": "#5794f2",
    "dark-blue": "#1f60c4",
    "light-blue": "#a9ccff",
    "purple": "#b877d9",
    "transparent": "#ffffff",
}
_OTHERS = ("#5794f2", "#ff9830", "#b877d9", "#73bf69", "#e0b400", "#f2495c", "#3f6833", "#8e8e8e")


def colour_of(name: str) -> str:
    """Return a named colour as #rrggbb; what is no name is returned as it is."""
    return _NAMED.get(name, name)


def palette(names: Sequence[str], fixed: Mapping[str, str]) -> dict[str, str]:
    """Return a colour for each name: the fixed one, else one by its place."""
    free = [name for name in names if name not in fixed]
    chosen = {name: _OTHERS[at % len(_OTHERS)] for at, name in enumerate(free)}
    return {name: colour_of(fixed.get(name, chosen.get(name, ""))) for name in names}
