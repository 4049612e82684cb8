"""The journal's statements: named text beside this module, each saying what it is for."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)

LARGEST_INSERT = 4_096
"""Rows of one insert: five values a row stay below SQLite's limit of 32,766."""


@cache
def load() -> Mapping[str, str]:
    """Return the statements of `journal.sql` by name."""
    text = (
        resources.files("telematics_publisher.journal").joinpath("journal.sql").read_text("utf-8")
    )
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@cache
def insert(rows: int) -> str:
    """Return the statement that inserts `rows` records (sequence, lane, received, subject, data)."""
    values = ",".join(["(?,?,?,?,?)"] * rows)
    return f"INSERT INTO records (sequence, lane, received, subject, data) VALUES {values}"  # noqa: S608 — placeholders only


def chunks(rows: int) -> list[int]:
    """Return sizes, powers of two and the largest first, that make up `rows`: few statements."""
    full, rest = divmod(rows, LARGEST_INSERT)
    powers = [1 << bit for bit in range(rest.bit_length() - 1, -1, -1) if rest >> bit & 1]
    return [LARGEST_INSERT] * full + powers
