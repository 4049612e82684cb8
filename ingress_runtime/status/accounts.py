"""The accounting of workspaces by name, asked of core's API under a read or admin key."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ingress_runtime.status.scraping import Unreachable, get
from ingress_runtime.status.section import (
    Cause,
    Column,
    Level,
    Section,
    Symptom,
    Table,
    Unit,
    Value,
)

TERMS = ("received", "in_flight", "stranded", "unaccounted")
"""The terms that are shown, of those that `GET /v1/workspaces/{workspace}/accounting` answers."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Where to ask, as whom, and for which workspaces."""

    url: str
    key: str
    workspaces: tuple[str, ...]

    def of(self, workspace: str) -> dict[str, int]:
        """Return the terms of a workspace. Raises Unreachable."""
        path = f"{self.url}/v1/workspaces/{quote(workspace, safe='')}/accounting"
        text = get(path, {"Authorization": f"Bearer {self.key}"})
        try:
            found: Any = json.loads(text)
            return {term: int(found[term]) for term in TERMS}
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable("what answers there is not core's API") from error


def section(accounts: Mapping[str, Mapping[str, int]]) -> Section:
    """Return the part of the section `accounting` about these workspaces. Pure."""
    columns = [Column("workspace", "workspace")]
    columns += [Column(term, term.replace("_", " "), Unit.NUMBER) for term in TERMS]
    levels = tuple(
        (place, Level.BAD)
        for place, terms in enumerate(accounts.values())
        if terms["unaccounted"] or terms["stranded"]
    )
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (name, *(terms[term] for term in TERMS)) for name, terms in accounts.items()
    )
    table = Table("workspaces", tuple(columns), rows, levels)
    return Section("accounting", "accounting", (), (table,), tuple(_symptoms(accounts)))


def _symptoms(accounts: Mapping[str, Mapping[str, int]]) -> Sequence[Symptom]:
    missing = {name: terms["unaccounted"] for name, terms in accounts.items()}
    return [
        Cause(
            f"unaccounted_{name}",
            "in the accounting",
            f"workspace {name} misses {number:,} messages",
        )
        for name, number in missing.items()
        if number
    ]
