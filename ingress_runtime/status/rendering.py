"""The status as lines of text for a terminal, and as one object for scripts. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from ingress_runtime.status.section import Figure, Level, Section, Table, Unit, Value
from ingress_runtime.status.verdict import Verdict
from ingress_runtime.status.words import seconds, shown

NARROWEST, WIDEST = 40, 120
"""Columns within which the text adapts; a wider terminal leaves the rest empty."""

_GUTTER = 14
_GAP = "   "
_COLUMN_GAP = "  "
_COLOURS = {Level.NOTICE: "yellow", Level.BAD: "red"}
_NARROWEST_CELL = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a process answered: its address, its name, and otherwise why not."""

    url: str
    name: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """All that is shown at one time: `now` in seconds since 1970, `seconds` of the window.

    Without a window, everything is since the processes started.
    """

    now: float
    seconds: float | None
    answers: tuple[Answer, ...]
    sections: tuple[Section, ...]
    verdict: Verdict


def lines(status: Status, width: int, *, colour: bool = False) -> list[str]:
    """Return the status as lines of at most `width` columns (of 40 to 120)."""
    width = min(max(width, NARROWEST), WIDEST)
    paint = _Paint(colour)
    text = [paint.strong(line) for line in _wrapped(_head(status), width)]
    for one in status.answers:
        if one.error is not None:
            complaint = f"{one.name} at {one.url} does not answer: {one.error}"
            text += [paint.level(line, Level.NOTICE) for line in _wrapped(complaint.split(), width)]
    for section in status.sections:
        text += _section(section, width, paint)
    text.append("")
    for sentence in status.verdict.sentences:
        for line in _wrapped(sentence.split(), width):
            text.append(paint.level(line, status.verdict.level, strong=True))
    return text


def fitted(text: Sequence[str], height: int) -> list[str]:
    """Return lines that fit into so many: the verdict at the end stays, the middle gives way."""
    if len(text) <= height:
        return list(text)
    end = next(i for i in range(len(text) - 1, -1, -1) if not text[i])
    tail = list(text[end:])[-max(height - 2, 1) :]
    room = max(height - len(tail) - 1, 0)
    more = f"… {len(text) - len(tail) - room} more lines: make the terminal higher"
    return [*text[:room], more, *tail][-height:]


def document(status: Status) -> dict[str, Any]:
    """Return the status as JSON holds it: numbers in seconds, bytes and counts, null if unknown."""
    return {
        "at": datetime.fromtimestamp(status.now, UTC).isoformat(timespec="milliseconds"),
        "window_seconds": None if status.seconds is None else round(status.seconds, 3),
        "processes": [
            {"name": one.name, "url": one.url, "error": one.error} for one in status.answers
        ],
        "sections": {section.key: _object(section) for section in status.sections},
        "verdict": {
            "level": status.verdict.level.name.lower(),
            "sentences": list(status.verdict.sentences),
        },
    }


def _object(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {one.key: _plain(one.value) for one in section.figures}
    for table in section.tables:
        keys = [column.key for column in table.columns]
        found[table.key] = [dict(zip(keys, map(_plain, row), strict=True)) for row in table.rows]
    return found


def _plain(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Paint:
    """Colours, where they are wanted."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def strong(self, text: str) -> str:
        return click.style(text, bold=True) if self._colour else text

    def level(self, text: str, level: Level, *, strong: bool = False) -> str:
        if not self._colour or (level is Level.WELL and not strong):
            return text
        return click.style(text, fg=_COLOURS.get(level, "green"), bold=strong)


def _head(status: Status) -> list[str]:
    at = datetime.fromtimestamp(status.now, UTC)
    answered = ", ".join(one.name for one in status.answers if one.error is None)
    head = [f"{at:%Y-%m-%d %H:%M:%SZ}"]
    if answered:
        span = "since the start" if status.seconds is None else f"last {seconds(status.seconds)}"
        head += [f" {span};", f" seen: {answered}"]
    return head


def _section(section: Section, width: int, paint: _Paint) -> Iterator[str]:
    room = width - _GUTTER
    body = [*_figures(section.figures, room, paint)]
    for table in section.tables:
        body += _table(table, room, paint)
    title = section.title[: _GUTTER - 1]
    for place, line in enumerate(body or [shown(None, Unit.TEXT)]):
        gutter = title if place == 0 else ""
        yield f"{paint.strong(gutter)}{' ' * (_GUTTER - len(gutter))}{line}".rstrip()


def _figures(figures: Sequence[Figure], room: int, paint: _Paint) -> Iterator[str]:
    line, length = "", 0
    for one in figures:
        text = f"{one.title} {shown(one.value, one.unit)}"
        text = text if len(text) <= room else f"{text[: room - 1]}…"
        if length and length + len(_GAP) + len(text) > room:
            yield line
            line, length = "", 0
        line += (_GAP if length else "") + paint.level(text, one.level)
        length += (len(_GAP) if length else 0) + len(text)
    if length:
        yield line


def _table(table: Table, room: int, paint: _Paint) -> Iterator[str]:
    head = [column.title for column in table.columns]
    rows = [
        [shown(value, column.unit) for value, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    while (
        sum(widths) + len(_COLUMN_GAP) * (len(widths) - 1) > room and max(widths) > _NARROWEST_CELL
    ):
        widths[widths.index(max(widths))] -= 1
    levels = dict(table.levels)
    for place, row in enumerate([head, *rows], start=-1):
        cells = [
            _cell(text, size, left=column.unit is Unit.TEXT)
            for text, size, column in zip(row, widths, table.columns, strict=True)
        ]
        yield paint.level(_COLUMN_GAP.join(cells)[:room].rstrip(), levels.get(place, Level.WELL))


def _cell(text: str, size: int, *, left: bool) -> str:
    text = text if len(text) <= size else f"{text[: size - 1]}…"
    return text.ljust(size) if left else text.rjust(size)


def _wrapped(words: Sequence[str], width: int) -> Iterator[str]:
    """Yield lines of words; one that is longer than a line is broken."""
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word.lstrip()
        while len(line) > width:
            yield line[:width]
            line = line[width:]
    yield line
