"""Holds dashboards, alerts, runbooks, documents and metrics against each other.

    python -m ingress_testbed.observability lint

A finding is a sentence that names the place. No finding means: every series that a panel or a rule
asks for exists with the labels that it names; every panel says what it shows, in which unit; every
alert has its runbook and no runbook is without an alert; every metric is looked at by someone, or is
said to be for debugging and why; documents name no metric that there is not.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.models import units

from ingress_testbed.metrics_document import UNITS, Definition, definitions
from ingress_testbed.observability.boards import ROW, Board, Panel, read_boards
from ingress_testbed.observability.debugging import FOR_DEBUGGING
from ingress_testbed.observability.promql import BadExpression, Matcher, Selector, selectors
from ingress_testbed.observability.rules import Rule, read_rules
from ingress_testbed.observability.vocabulary import OF_TARGETS, Series, Vocabulary, vocabulary

VARIABLES = {"__rate_interval": "1m", "__interval": "15s", "__range": "30m"}
"""Any values of Grafana's variables do for parsing."""

_UNITS = frozenset(value for value in vars(units).values() if isinstance(value, str))
_RATES = {"rate", "increase", "irate", "resets"}
_SHORTEST_WORDS = 40
_RUNBOOK = re.compile(r"ops/runbooks/([A-Za-z]+)\.md")
_NAME = re.compile(
    r"(?<![\w.{/-])(?:publisher|core_api|core_consumer|core_ingest|kafka)_[a-z0-9_]+\b"
)
_LAST_WORDS = UNITS | {"total", "state", "limit", "bucket", "count", "sum"}
"""How metrics end; events of the logs, which are spelled likewise, end otherwise."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is held against each other. `documents` are texts for people, by path."""

    boards: Sequence[Board]
    rules: Sequence[Rule]
    runbooks: frozenset[str]
    definitions: Sequence[Definition]
    documents: dict[str, str]

    @classmethod
    def of(cls, root: Path) -> "Material":
        """Read the repository at `root`."""
        runbooks = root / "ops" / "runbooks"
        texts = [*(root / "docs").glob("**/*.md"), *runbooks.glob("*.md"), root / "README.md"]
        return cls(
            boards=read_boards(root / "ops" / "grafana" / "dashboards"),
            rules=read_rules(root / "ops" / "prometheus" / "rules"),
            runbooks=frozenset(path.stem for path in runbooks.glob("*.md")) - {"README"},
            definitions=definitions(),
            documents={str(one.relative_to(root)): one.read_text("utf-8") for one in texts},
        )


@dataclass(frozen=True, slots=True)
class _Use:
    place: str
    expr: str


def findings(material: Material) -> list[str]:
    """Return what does not fit, a sentence each."""
    known = vocabulary(material.definitions, material.rules)
    uses = list(_uses(material))
    return [
        *(found for use in uses for found in _of_expression(use, known)),
        *(found for board in material.boards for found in _of_board(board, material)),
        *_of_alerts(material),
        *_unused(material, uses, known),
        *_of_documents(material, known),
    ]


def _uses(material: Material) -> Iterator[_Use]:
    for board in material.boards:
        for panel in board.data_panels:
            for target in panel.targets:
                yield _Use(f"panel {board.title} / {panel.title}", target.expr)
        for expr in board.annotations:
            yield _Use(f"annotations of {board.title}", expr)
    for rule in material.rules:
        yield _Use(f"rule {rule.name}", rule.expr)


def _of_expression(use: _Use, known: Vocabulary) -> Iterator[str]:
    try:
        read = selectors(use.expr, VARIABLES)
    except BadExpression as error:
        yield f"{use.place}: {error}"
        return
    for selector in read:
        series = known.find(selector.metric)
        if series is None:
            yield f"{use.place}: there is no series {selector.metric}"
        else:
            for complaint in _of_selector(selector, series):
                yield f"{use.place}: {complaint}"


def _of_selector(selector: Selector, series: Series) -> Iterator[str]:
    name = selector.metric
    labels = {one.label for one in selector.matchers} | selector.grouped
    if series.labels is not None:
        for label in sorted(labels - series.labels - OF_TARGETS - {"__name__"}):
            yield f"{name} has no label {label}"
    if series.kind == "gauge" and selector.within in _RATES:
        yield f"{selector.within}() of {name}, which is a gauge"
    for matcher in selector.matchers:
        allowed = {"le": series.bounds, name: series.states}.get(matcher.label) or None
        for value in _values(matcher):
            if allowed is not None and value not in allowed:
                yield f"{name} has no {matcher.label} {value!r}"


def _values(matcher: Matcher) -> Sequence[str]:
    return matcher.value.split("|") if "~" in matcher.operator else [matcher.value]


def _of_board(board: Board, material: Material) -> Iterator[str]:
    titles = [panel.title for panel in board.panels]
    for title in sorted({one for one in titles if titles.count(one) > 1}):
        yield f"{board.title}: two panels are called {title}"
    alerts = {rule.name for rule in material.rules if not rule.records}
    for panel in board.panels:
        if panel.kind != ROW:
            for complaint in _of_panel(panel):
                yield f"panel {board.title} / {panel.title}: {complaint}"
        for name in _RUNBOOK.findall(panel.words):
            if name not in alerts:
                yield f"panel {board.title} / {panel.title}: there is no alert {name}"


def _of_panel(panel: Panel) -> Iterator[str]:
    if len(panel.words) < _SHORTEST_WORDS:
        yield "it does not say what it shows and what bad looks like"
    if panel.kind == "text":
        return
    if panel.unit not in _UNITS:
        yield f"{panel.unit!r} is no unit of Grafana"
    if not panel.targets:
        yield "it asks for nothing"
    if len(panel.targets) > 1 and not all(target.legend for target in panel.targets):
        yield "a query has no legend"


def _of_alerts(material: Material) -> Iterator[str]:
    alerts = {rule.name: rule for rule in material.rules if not rule.records}
    for name, rule in alerts.items():
        if name not in material.runbooks:
            yield f"alert {name}: it has no runbook"
        if rule.annotations.get("runbook_url") != f"ops/runbooks/{name}.md":
            yield f"alert {name}: its runbook_url is not ops/runbooks/{name}.md"
    for name in sorted(material.runbooks - alerts.keys()):
        yield f"runbook {name}: there is no such alert"


def _unused(material: Material, uses: Iterable[_Use], known: Vocabulary) -> Iterator[str]:
    asked = set()
    for use in uses:
        try:
            asked |= {one.metric for one in selectors(use.expr, VARIABLES)}
        except BadExpression:
            continue  # which is a finding of its own
    used = {series.definition for name in asked if (series := known.known.get(name)) is not None}
    ours = {one.name for one in material.definitions}
    for name in sorted(ours - used - FOR_DEBUGGING.keys()):
        yield f"metric {name}: no panel and no rule asks for it, and it is not said to be for debugging"
    for name in sorted(FOR_DEBUGGING.keys() & used):
        yield f"metric {name}: it is said to be for debugging, and is used"
    for name in sorted(FOR_DEBUGGING.keys() - ours):
        yield f"metric {name}: it is said to be for debugging, and does not exist"


def _of_documents(material: Material, known: Vocabulary) -> Iterator[str]:
    names = {one.name for one in material.definitions}
    for path, text in sorted(material.documents.items()):
        for found in sorted(set(_NAME.findall(text)) - names):
            if found.rpartition("_")[2] in _LAST_WORDS and known.find(found) is None:
                yield f"{path}: there is no metric {found}"
