"""What a room tells of itself: figures and tables by section, and what is wrong. Pure data."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import TypeAlias

from ingress_runtime.status.window import Window

GROUP = "ingress.status"
"""The group of entry points by which rooms contribute: each names a Contributor."""

ORDER = (
    "throughput",
    "hops",
    "streams",
    "journals",
    "way",
    "consumer",
    "backpressure",
    "dead_letters",
    "accounting",
    "database",
)
"""The sections from top to bottom. Rooms may share one, and a table in it."""

Value: TypeAlias = float | str | None


class Bytes(float):
    """A number of bytes in a column of other numbers."""


class Unit(Enum):
    """What a number means, and so how it is shown."""

    NUMBER = "number"
    RATE = "rate"
    SECONDS = "seconds"
    BYTES = "bytes"
    SHARE = "share"
    TEXT = "text"


class Level(IntEnum):
    """How bad something is; a greater level wins."""

    WELL = 0
    NOTICE = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Figure:
    """One value. `key` is its name in JSON, `title` the words before it."""

    key: str
    title: str
    value: Value
    unit: Unit = Unit.NUMBER
    level: Level = Level.WELL


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. Without a unit it holds text."""

    key: str
    title: str
    unit: Unit = Unit.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values, one a column. `levels` marks rows by their place; `key` is its name in JSON."""

    key: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    levels: tuple[tuple[int, Level], ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages wait at a `place` ("in the publisher"); `evidence` says how many or how long."""

    place: str
    evidence: str
    level: Level = Level.BAD


@dataclass(frozen=True, slots=True)
class Cause:
    """Why things are not as they should be, and whose fault that is: a clause without a full stop.

    Where messages wait at its `place`, it explains that; otherwise it stands for itself. `{since}`
    in its words becomes " for at least 14 s" once it has been seen for so long; `key` tells whether
    it is the same as before.
    """

    key: str
    place: str
    words: str
    level: Level = Level.BAD


Symptom: TypeAlias = Waiting | Cause


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the picture; `key` is one of ORDER, or a room's own."""

    key: str
    title: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    symptoms: tuple[Symptom, ...] = ()


Contributor: TypeAlias = Callable[[Window], Iterable[Section]]


def merged(sections: Iterable[Section]) -> list[Section]:
    """Return the sections in their order; those of one key become one, under its first title."""
    found: dict[str, Section] = {}
    for each in sections:
        first = found.get(each.key)
        found[each.key] = each if first is None else _together(first, each)
    return sorted(found.values(), key=lambda one: _place(one.key, ORDER))


def _together(first: Section, second: Section) -> Section:
    tables = {table.key: table for table in first.tables}
    for table in second.tables:
        above = tables.get(table.key)
        tables[table.key] = table if above is None else _below(above, table)
    return replace(
        first,
        figures=first.figures + second.figures,
        tables=tuple(tables.values()),
        symptoms=first.symptoms + second.symptoms,
    )


def _below(above: Table, table: Table) -> Table:
    """Return one table of the rows of both, which have the same columns."""
    moved = tuple((len(above.rows) + place, level) for place, level in table.levels)
    return replace(above, rows=above.rows + table.rows, levels=above.levels + moved)


def _place(key: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(key), "") if key in order else (len(order), key)
