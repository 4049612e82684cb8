import pytest

from ingress_testbed.observability.promql import BadExpression, Selector, selectors


def only(expr: str) -> Selector:
    (found,) = selectors(expr)
    return found


def needs(expr: str) -> dict[str, set[str]]:
    return {one.metric: set(one.grouped) for one in selectors(expr)}


def test_selector_tells_metric_matchers_function_and_grouping() -> None:
    found = only('sum by (le, hop) (rate(a_bucket{hop="x",door=~"y|z"}[5m] offset 1w))')

    assert found.metric == "a_bucket"
    assert [(one.label, one.operator, one.value) for one in found.matchers] == [
        ("hop", "=", "x"),
        ("door", "=~", "y|z"),
    ]
    assert found.grouped == {"le", "hop"}
    assert found.within == "rate"
    assert found.text == 'a_bucket{hop="x", door=~"y|z"}'


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("a", {"a": set()}),
        ("histogram_quantile(0.9, sum by (le) (rate(a[5m]))) > 1", {"a": {"le"}}),
        ("sum by (x) (a) / on (y) sum by (y, z) (b)", {"a": {"x", "y"}, "b": {"y", "z"}}),
        ("sum by (x) (a unless on (y) b)", {"a": {"x", "y"}, "b": {"y"}}),
        ("sum by (x) (a and on () b)", {"a": {"x"}, "b": set()}),
        ("max by (x) (a + on (y) group_left () b)", {"a": {"x", "y"}, "b": {"y"}}),
        ("max by (x) (a + on (y) group_left (z) b)", {"a": {"x", "y"}, "b": {"y", "z"}}),
        ("max by (x) (b + on (y) group_right (z) a)", {"a": {"x", "y"}, "b": {"y", "z"}}),
        ("sum by (x) (a or b)", {"a": {"x"}, "b": {"x"}}),
        ("sum without (x) (a)", {"a": set()}),
        ('sum by (x) (label_replace(a, "x", "$1", "y", "(.*)"))', {"a": set()}),
        ("max_over_time(sum by (x) (a)[5m:1m])", {"a": {"x"}}),
        ("-(a)", {"a": set()}),
        ("vector(0) + time()", {}),
    ],
)
def test_each_side_needs_the_labels_that_are_taken_from_it(
    expr: str, expected: dict[str, set[str]]
) -> None:
    assert needs(expr) == expected


def test_variables_of_grafana_are_replaced_the_longer_name_first() -> None:
    found = selectors(
        "rate(a[$__rate_interval]) + rate(b[$__rate])", {"__rate": "1m", "__rate_interval": "5m"}
    )
    assert [one.metric for one in found] == ["a", "b"]


@pytest.mark.parametrize("expr", ["sum(", "rate(a[5x])", "a b", ""])
def test_what_is_no_promql_is_refused(expr: str) -> None:
    with pytest.raises(BadExpression):
        selectors(expr)
