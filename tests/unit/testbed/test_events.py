"""Logs are events: what the source says, held against the convention and docs/logs.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ingress_testbed.rooms import ROOMS, room_of

ROOT = Path(__file__).parents[3]

LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
}
URGENT = {"warning", "error", "critical"}

SNAKE_CASE = re.compile(r"[a-z]+(_[a-z]+)+")
ROW = re.compile(r"\| `(?P<event>[a-z_]+)` \| (?P<level>[a-z]+) \| (?P<texts>.+) \|")


class Event(NamedTuple):
    """A call that logs: where it stands, its level, its name (None: not a literal) and fields."""

    place: str
    level: str
    name: str | None
    fields: tuple[str | None, ...]

    @property
    def room(self) -> str:
        return room_of(self.place.replace("/", "."))


def events() -> Iterator[Event]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield from found_in(path.read_text("utf-8"), str(path.relative_to(ROOT)))


def found_in(source: str, place: str) -> Iterator[Event]:
    """Yield the calls of a log's methods; a future's `exception()` has no argument, and is none."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and node.args
        ):
            first = node.args[0]
            literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
            yield Event(
                f"{place}:{node.lineno}",
                LEVELS[node.func.attr],
                first.value if literal else None,  # type: ignore[attr-defined]
                tuple(keyword.arg for keyword in node.keywords),
            )


def documented() -> dict[str, set[str]]:
    """Return the levels by event that docs/logs.md has rows of."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "docs" / "logs.md").read_text("utf-8").splitlines():
        if row := ROW.fullmatch(line):
            found.setdefault(row["event"], set()).add(row["level"])
    return found


EVENTS = list(events())


def test_the_walk_sees_every_kind_of_call() -> None:
    source = """
log.info("one_event", room=1)
self._log.bind(a=1).exception("other_event")
structlog.get_logger().warning(name)
if future.exception(): pass
"""
    assert list(found_in(source, "room/module.py")) == [
        ("room/module.py:2", "info", "one_event", ("room",)),
        ("room/module.py:3", "error", "other_event", ()),
        ("room/module.py:4", "warning", None, ()),
    ]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.place} {event.name}")
def test_a_name_is_a_literal_in_snake_case(event: Event) -> None:
    assert event.name is not None, "whoever searches for an event must find it in the source"
    assert SNAKE_CASE.fullmatch(event.name)


def test_what_an_operator_must_know_is_in_the_table_with_its_level_and_nothing_else_is() -> None:
    said: dict[str, set[str]] = {}
    for event in EVENTS:
        if event.level in URGENT and event.room != "ingress_testbed":
            said.setdefault(str(event.name), set()).add(event.level)
    assert documented() == said


def test_each_row_has_a_meaning_and_something_to_do() -> None:
    for line in (ROOT / "docs" / "logs.md").read_text("utf-8").splitlines():
        if row := ROW.fullmatch(line):
            meaning, todo = re.split(r" \| ", row["texts"])
            assert len(meaning) > 10, line
            assert todo, line


def test_the_core_that_decides_logs_nothing() -> None:
    pure = ("decide", "item", "reading", "outcome", "prepared")
    assert not [
        event.place
        for event in EVENTS
        if event.place.startswith(tuple(f"core_ingest/{name}.py" for name in pure))
        or event.room == "ingress_contracts"
    ]
