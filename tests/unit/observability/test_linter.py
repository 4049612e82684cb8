from dataclasses import replace
from pathlib import Path

import pytest

from ingress_testbed.metrics_document import Definition
from ingress_testbed.observability import linter
from ingress_testbed.observability.boards import Board, Panel, Place, Target
from ingress_testbed.observability.linter import Material, findings
from ingress_testbed.observability.rules import Rule

ROOT = Path(__file__).parents[3]
WORDS = "What it shows, and what one sees when it is bad, in a sentence."

DEFINITIONS = [
    Definition("core_api_frames_total", "counter", ("door",), "frames", "Frames.", "core_api"),
    Definition("core_api_age_seconds", "histogram", (), "seconds", "Age.", "core_api", (1, 2.5)),
    Definition(
        "core_api_state",
        "gauge",
        ("core_api_state",),
        "",
        "State.",
        "core_api",
        values={"core_api_state": ("well", "ill")},
    ),
]
ALL = (
    "sum by (door) (rate(core_api_frames_total[5m]))",
    'rate(core_api_age_seconds_bucket{le="2.5"}[5m])',
    'core_api_state{core_api_state="ill"}',
)
"""Uses every metric."""

PANEL = Panel(
    kind="timeseries",
    title="Frames",
    words=WORDS,
    unit="ops",
    place=Place(0, 0, 12, 8),
    targets=tuple(Target(expr, "one") for expr in ALL),
    thresholds=(),
    colours={},
    stacked=False,
    logarithmic=False,
    good=frozenset(),
    mappings={},
    content="",
)
ALERT = Rule(
    "TooOld",
    "sum(rate(core_api_frames_total[5m])) == 0",
    records=False,
    annotations={"runbook_url": "ops/runbooks/TooOld.md"},
    path=Path("rules.yml"),
)


def board(*panels: Panel) -> Board:
    return Board("one", "One", Path("one.json"), panels, ())


@pytest.fixture(autouse=True)
def nothing_for_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linter, "FOR_DEBUGGING", {})


GOOD = Material([board(PANEL)], [ALERT], frozenset({"TooOld"}), DEFINITIONS, {})


def with_expr(expr: str) -> Material:
    more = replace(PANEL, title="More", targets=(Target(expr, ""),))
    return replace(GOOD, boards=[board(PANEL, more)])


def with_panel(**changes: object) -> Material:
    return replace(GOOD, boards=[board(PANEL, replace(PANEL, **{"title": "More", **changes}))])  # type: ignore[arg-type]


def test_what_fits_together_has_no_findings() -> None:
    assert findings(GOOD) == []


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ("core_api_frame_total", "there is no series core_api_frame_total"),
        ("core_api_age_seconds", "there is no series core_api_age_seconds"),
        ("sum by (dor) (core_api_frames_total)", "core_api_frames_total has no label dor"),
        ('core_api_frames_total{dor="x"}', "core_api_frames_total has no label dor"),
        ("up{door='x'}", "up has no label door"),
        ('core_api_age_seconds_bucket{le="2"}', "core_api_age_seconds_bucket has no le '2'"),
        ('core_api_age_seconds_bucket{le="1"}', "core_api_age_seconds_bucket has no le '1'"),
        ('core_api_state{core_api_state="il"}', "core_api_state has no core_api_state 'il'"),
        (
            'core_api_state{core_api_state=~"ill|dead"}',
            "core_api_state has no core_api_state 'dead'",
        ),
        ("rate(core_api_state[5m])", "rate() of core_api_state, which is a gauge"),
    ],
)
def test_expression_that_cannot_be_answered_is_found(expr: str, complaint: str) -> None:
    assert findings(with_expr(expr)) == [f"panel One / More: {complaint}"]


@pytest.mark.parametrize(
    "expr",
    [
        "sum by (job, instance) (up)",
        'core_api_age_seconds_bucket{le="1.0"}',
        'core_api_age_seconds_bucket{le="+Inf"}',
        "process_cpu_seconds_total",
        "redpanda_anything{with='any'}",
        'ALERTS{alertstate="firing"}',
        "increase(core_api_age_seconds_sum[5m])",
    ],
)
def test_expression_of_what_exists_is_not_found(expr: str) -> None:
    assert findings(with_expr(expr)) == []


def test_no_promql_is_found() -> None:
    (found,) = findings(with_expr("sum("))
    assert found.startswith("panel One / More: ")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"words": "Frames."}, "it does not say what it shows and what bad looks like"),
        ({"unit": ""}, "'' is no unit of Grafana"),
        ({"unit": "frames"}, "'frames' is no unit of Grafana"),
        ({"targets": ()}, "it asks for nothing"),
        ({"targets": (Target("up", "up"), Target("up", ""))}, "a query has no legend"),
        ({"words": WORDS + " See ops/runbooks/Nothing.md."}, "there is no alert Nothing"),
    ],
)
def test_panel_that_does_not_explain_itself_is_found(
    changes: dict[str, object], complaint: str
) -> None:
    assert findings(with_panel(**changes)) == [f"panel One / More: {complaint}"]


def test_two_panels_of_one_name_are_found() -> None:
    assert findings(with_panel(title="Frames")) == ["One: two panels are called Frames"]


def test_series_that_a_rule_records_may_be_asked_for_by_its_labels() -> None:
    recorded = Rule(
        "one:frames",
        "sum by (door) (core_api_frames_total)",
        records=True,
        annotations={},
        path=Path("rules.yml"),
    )
    asked = with_expr("sum by (door) (one:frames)")
    assert findings(replace(asked, rules=[ALERT, recorded])) == []
    assert findings(asked) == ["panel One / More: there is no series one:frames"]


def test_alert_without_runbook_and_runbook_without_alert_are_found() -> None:
    astray = replace(ALERT, annotations={"runbook_url": "ops/runbooks/Other.md"})
    assert findings(replace(GOOD, runbooks=frozenset({"Other"}), rules=[astray])) == [
        "alert TooOld: it has no runbook",
        "alert TooOld: its runbook_url is not ops/runbooks/TooOld.md",
        "runbook Other: there is no such alert",
    ]


def test_metric_that_nobody_looks_at_is_found_unless_it_is_for_debugging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unseen = replace(
        GOOD, boards=[board(replace(PANEL, targets=(Target(ALL[0], ""), Target(ALL[1], "x"))[:1]))]
    )
    assert [one.partition(":")[0] for one in findings(unseen)] == [
        "metric core_api_age_seconds",
        "metric core_api_state",
    ]
    reasons = {"core_api_age_seconds": "why", "core_api_state": "why"}
    monkeypatch.setattr(linter, "FOR_DEBUGGING", reasons)
    assert findings(unseen) == []
    assert [one.partition(",")[0] for one in findings(GOOD)] == [
        "metric core_api_age_seconds: it is said to be for debugging",
        "metric core_api_state: it is said to be for debugging",
    ]
    monkeypatch.setattr(linter, "FOR_DEBUGGING", {**reasons, "core_api_gone_total": "why"})
    assert findings(unseen) == [
        "metric core_api_gone_total: it is said to be for debugging, and does not exist"
    ]


def test_document_that_names_a_metric_that_there_is_not_is_found() -> None:
    text = "Ask for `core_api_frames_total`, not for `core_api_drops_total`; core_api_frames_gone is a log."
    assert findings(replace(GOOD, documents={"docs/one.md": text})) == [
        "docs/one.md: there is no metric core_api_drops_total"
    ]


def test_this_repository_has_no_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert findings(Material.of(ROOT)) == []
