"""The demo, its broker failing in the middle, under a real Prometheus with our rules."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingress_testbed.metrics_document import definitions
from ingress_testbed.observability.boards import Board, read_boards
from ingress_testbed.observability.coverage import empty, strangers
from ingress_testbed.observability.plots import draw
from ingress_testbed.observability.prometheus import Answers
from ingress_testbed.observability.rehearsal import Rehearsal, rehearsed
from ingress_testbed.observability.rules import read_rules

pytestmark = pytest.mark.ops

ROOT = Path(__file__).parents[2]
BOARDS = read_boards(ROOT / "ops" / "grafana" / "dashboards")
RULES = ROOT / "ops" / "prometheus" / "rules"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A run of some 40 seconds; its Prometheus is up until the module's tests are over."""
    directory = tmp_path_factory.mktemp("rehearsal")
    arguments = ("--vehicles", "300", "--speed", "1", "--seconds", "40", "--outage", "hang")
    with asyncio.Runner() as runner:
        context = rehearsed(directory, RULES, *arguments)
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


def test_every_panel_and_every_ingredient_of_an_alert_has_data(run: Rehearsal) -> None:
    with Answers(run.url) as answers:
        found = empty(answers, run.window, BOARDS, read_rules(RULES))
    assert [one for one in found if one.reason is None] == []


def test_what_is_served_is_what_the_code_defines(run: Rehearsal) -> None:
    assert strangers(run.families, definitions()) == []


def test_outage_is_seen_where_it_was_and_nowhere_else(run: Rehearsal) -> None:
    """What a person would look for: Kafka away, traffic over HTTP, nothing missing."""
    with Answers(run.url) as answers:

        def most(expr: str) -> float:
            found = answers.over(expr, run.window)
            return max(value for line in found for _, value in line.points)

        assert most('max(publisher_breaker_state{publisher_breaker_state="open"})') == 1
        assert most('sum(core_ingest_envelopes_total{door="http"})') > 0
        assert most("sum(publisher_failovers_total)") >= 1
        assert most("max(core_ingest_unaccounted_messages)") == 0
        assert most('sum(rate(publisher_backpressure_seconds_total{queue="window"}[5s]))') > 0


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_dashboard_can_be_drawn_from_what_was_scraped(
    run: Rehearsal, board: Board, tmp_path: Path
) -> None:
    file = tmp_path / f"{board.uid}.png"
    with Answers(run.url) as answers:
        draw(board, answers, run.window, file)
    assert file.read_bytes().startswith(b"\x89PNG")
