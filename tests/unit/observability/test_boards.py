from pathlib import Path

import pytest

from ingress_testbed.observability.boards import ROW, Board, read_boards
from ingress_testbed.observability.dashboards import dashboards

BOARDS = read_boards(Path(__file__).parents[3] / "ops" / "grafana" / "dashboards")
TITLES = [
    "Consumer and topic",
    "Database",
    "Lag by hop",
    "Ingest overview",
    "Publisher and streams",
]


def test_five_dashboards_have_the_names_that_runbooks_use() -> None:
    assert {board.title for board in BOARDS} == set(TITLES)
    assert all(board.path.stem == board.uid for board in BOARDS)


def test_dashboards_are_made_alike_each_time() -> None:
    first, second = ([one.render() for one in dashboards()] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_lie_beside_each_other_and_never_on_top(board: Board) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board.panels:
        place = panel.place
        assert place.x + place.width <= 24
        for x in range(place.x, place.x + place.width):
            for y in range(place.y, place.y + place.height):
                assert taken.setdefault((x, y), panel.title) == panel.title


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_no_expression_names_one_process(board: Board) -> None:
    asked = [target.expr for panel in board.data_panels for target in panel.targets]
    assert asked
    assert not [expr for expr in asked if "instance=" in expr or "job=" in expr]


def test_first_thing_to_see_is_what_is_missing_and_how_late_it_is() -> None:
    overview = next(board for board in BOARDS if board.title == "Ingest overview")
    first, *rest = [panel for panel in overview.panels if panel.kind != ROW]
    assert first.title == "Unaccounted"
    top = {panel.title for panel in [first, *rest] if panel.place.y <= 6}
    assert top >= {
        "Stranded",
        "Freshness, p99",
        "Delivery, p99",
        "Dead letters that wait",
        "Envelopes by outcome",
        "Backpressure: which queue holds, and why",
    }
