"""What an expression in PromQL reads: its selectors, and the labels by which they are grouped."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import promql_parser
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

_MADE_BY = ("label_replace", "label_join")
"""Functions that make labels: what they make is no label of a metric."""


class BadExpression(ValueError):
    """The text is no PromQL."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A matcher of a selector, with its operator: `=`, `!=`, `=~` or `!~`."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric that is read: which, matched by what, and the labels it is grouped by further out.

    `grouped` holds labels that `by`, `on`, `ignoring`, `without`, `group_left` or the like name around
    it. `text` is the selector as an expression of its own, without range or offset.
    """

    metric: str
    matchers: tuple[Matcher, ...]
    grouped: frozenset[str]
    text: str
    within: str = ""


def selectors(expr: str, variables: Mapping[str, str] | None = None) -> list[Selector]:
    """Return what `expr` reads. `variables` replaces Grafana's, by name. Raises BadExpression."""
    return list(_walk(parsed(substituted(expr, variables or {})), frozenset(), ""))


def substituted(expr: str, variables: Mapping[str, str]) -> str:
    """Return `expr` with `$name` of each variable replaced; longer names first."""
    for name in sorted(variables, key=len, reverse=True):
        expr = expr.replace(f"${name}", variables[name])
    return expr


def parsed(expr: str) -> Expr:
    """Return the tree of `expr`. Raises BadExpression."""
    try:
        return promql_parser.parse(expr)
    except ValueError as error:
        raise BadExpression(f"{error} in {expr!r}") from error


def _walk(node: Expr, grouped: frozenset[str], within: str) -> Iterator[Selector]:
    match node:
        case VectorSelector():
            yield _selector(node, grouped, "")
        case MatrixSelector():
            yield _selector(node.vector_selector, grouped, within)
        case AggregateExpr():
            yield from _walk(node.expr, grouped | _of_aggregation(node), "")
        case BinaryExpr():
            left, right = _of_matching(node, grouped)
            yield from _walk(node.lhs, left, "")
            yield from _walk(node.rhs, right, "")
        case Call():
            made = {node.args[1].val} if node.func.name in _MADE_BY else set()
            for argument in node.args:
                yield from _walk(argument, grouped - made, node.func.name)
        case ParenExpr() | SubqueryExpr() | UnaryExpr():
            yield from _walk(node.expr, grouped, within)
        case _:
            return  # a number, or a text


def _of_aggregation(node: AggregateExpr) -> frozenset[str]:
    if node.modifier is None or node.modifier.type is not AggModifierType.By:
        return frozenset()
    return frozenset(node.modifier.labels)


def _of_matching(
    node: BinaryExpr, grouped: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the labels that each side needs: one that lends none has only those it is matched on."""
    if node.modifier is None or node.modifier.matching is None:
        return grouped, grouped
    on = frozenset(node.modifier.matching.labels)
    lent = frozenset(node.modifier.group_labels or ())
    match str(node.modifier.card).rpartition(".")[2], str(node.op):
        case ("ManyToOne", _):
            return grouped - lent | on, on | lent
        case ("OneToMany", _):
            return on | lent, grouped - lent | on
        case (_, "and" | "unless"):
            return grouped | on, on
        case _:
            return grouped | on, grouped | on


def _selector(node: VectorSelector, grouped: frozenset[str], within: str) -> Selector:
    found = tuple(_matcher(one) for one in node.matchers.matchers)
    metric = node.name or next(one.value for one in found if one.label == "__name__")
    inside = ", ".join(f'{one.label}{one.operator}"{one.value}"' for one in found)
    text = f"{metric}{{{inside}}}" if inside else metric
    return Selector(metric, found, grouped, text, within)


def _matcher(found: promql_parser.Matcher) -> Matcher:
    operators = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
    return Matcher(found.name, operators[str(found.op).rpartition(".")[2]], found.value)
