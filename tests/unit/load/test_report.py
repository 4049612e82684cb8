import json
from collections import Counter
from collections.abc import Mapping
from xml.etree import ElementTree as ET

import pytest

from ingress_testbed.load.accounts import TERMS, Settlement
from ingress_testbed.load.engine import Tally
from ingress_testbed.load.plot import svg
from ingress_testbed.load.report import Report, StepReport
from ingress_testbed.load.saturation import Bounds
from ingress_testbed.load.schedule import Plan
from ingress_testbed.load.view import Screen, conclusions

SVG = "{http://www.w3.org/2000/svg}"


def step(
    vehicles: int = 100,
    acknowledged: int | None = None,
    *,
    latency: float = 0.02,
    end: float = 10.0,
    settlement: Settlement | None = None,
) -> StepReport:
    due = vehicles * 10
    came = due if acknowledged is None else acknowledged
    tally = Tally(
        due=due,
        not_sent=due - came,
        numbered=came,
        acknowledged=came,
        outcomes=Counter(accepted=came),
        scheduled_seconds=10.2,
        last_acknowledged=end,
    )
    tally.corrected.record(latency, came)
    tally.uncorrected.record(latency / 2, came)
    tally.lateness.record(0.001, due)
    return StepReport(Plan(vehicles, 1.0, 10.0), tally, settlement, closed=True)


def report(*steps: StepReport, interrupted: bool = False) -> Report:
    return Report("http", "http://core", steps, Bounds(), interrupted)


def drawn_from(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 — it is ours


def told(terms: Mapping[str, int], seconds: float = 0.1, *, settled: bool = True) -> Settlement:
    return Settlement(dict.fromkeys(TERMS, 0) | dict(terms), seconds, settled)


def test_rates_are_per_second_of_the_step() -> None:
    found = step(100, 900)

    assert (found.intended_rate, found.achieved_rate) == (100.0, 90.0)


def test_rates_of_a_step_that_was_cut_short_are_those_of_its_seconds() -> None:
    cut = step(100, 500, end=4.9)
    cut.tally.due, cut.tally.scheduled_seconds, cut.tally.cut_short = 500, 5.0, True

    assert (cut.intended_rate, cut.achieved_rate) == (100.0, 100.0)


def test_what_came_late_counts_less_but_a_seconds_delay_is_forgiven() -> None:
    assert step(end=10.9).achieved_rate == 100.0
    assert step(end=21.0).achieved_rate == 50.0


def test_what_core_has_not_settled_was_not_achieved() -> None:
    slow = step(settlement=told({"received": 1_000, "accepted": 1_000}, 11.0))
    never = step(
        settlement=told({"received": 1_000, "accepted": 390, "in_flight": 610}, 30.0, settled=False)
    )

    assert (slow.acknowledged_rate, slow.achieved_rate) == (100.0, 50.0)
    assert never.achieved_rate == 10.0
    assert never.document()["settled_after_seconds"] is None


@pytest.mark.parametrize(
    ("terms", "exact"),
    [
        ({"received": 1_000, "accepted": 900, "stale": 100}, True),
        ({"received": 1_000, "accepted": 900, "dropped": 100}, True),
        ({"received": 1_000, "accepted": 999, "unaccounted": 1}, False),
        ({"received": 1_000, "accepted": 999, "in_flight": 1}, False),
        ({"received": 999, "accepted": 999}, False),
        ({"received": 1_001, "accepted": 1_001}, False),
    ],
)
def test_account_is_exact_where_each_number_has_one_outcome(
    terms: dict[str, int], exact: bool
) -> None:
    found = report(step(settlement=told(terms)))

    assert found.steps[0].exact is exact
    assert found.good is exact
    assert any("not exact" in line for line in conclusions(found)) is not exact


def test_load_of_which_nothing_came_through_is_not_good() -> None:
    assert not report(step(100, 0)).good
    assert report(step()).good


def test_json_is_one_line_and_says_where_it_saturated() -> None:
    text = report(step(100), step(200), step(300, 1_500)).to_json()
    found = json.loads(text)

    assert "\n" not in text
    assert [one["achieved_rate"] for one in found["steps"]] == [100.0, 200.0, 150.0]
    assert found["saturation"]["step"] == 2
    assert found["saturation"]["sustained"] == 200.0
    assert found["steps"][0]["latency_seconds"]["p99"] == pytest.approx(0.02)
    assert found["steps"][0]["uncorrected_latency_seconds"]["max"] == pytest.approx(0.01)
    assert found["steps"][2]["not_sent"] == 1_500
    assert found["steps"][0]["accounting"] is None


def test_step_that_was_cut_short_saturates_nothing() -> None:
    cut = report(step(100), step(200, 10), interrupted=True)

    assert cut.saturation is None
    assert "Interrupted: the last step was cut short." in list(conclusions(cut))


def test_conclusion_names_the_rate_that_was_sustained(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(to_stderr=False).report(report(step(100), step(200, latency=2.5)))

    said = capsys.readouterr().out
    assert "Saturated at 200 messages/s: p99 latency 2.5 s, above 1 s." in said
    assert "Sustained before: 100 messages/s." in said
    assert "from when it was due" in said
    assert "from its attempt" in said


def test_generator_at_its_own_limit_is_said() -> None:
    busy = step()
    busy.tally.lateness.record(3.0, 500)

    assert any("this machine is at its limit" in line for line in conclusions(report(busy)))
    assert not any("at its limit" in line for line in conclusions(report(step())))


def test_plot_shows_every_step_and_where_it_saturated() -> None:
    drawn = drawn_from(svg(report(step(100), step(200), step(300, 1_500, latency=4.0))))
    texts = [one.text for one in drawn.iter(f"{SVG}text")]

    assert len(list(drawn.iter(f"{SVG}circle"))) == 3 * 5  # rate and four percentiles
    assert texts.count("saturated") == 2
    assert {"p50", "p90", "p99", "p99.9", "100 ms", "10 s"} <= set(texts)
    for circle in drawn.iter(f"{SVG}circle"):
        assert 0 < float(circle.attrib["cx"]) < 1_000
        assert 0 < float(circle.attrib["cy"]) < 430


@pytest.mark.parametrize("latency", [0.0, 1e-6, 0.5, 900.0])
def test_plot_of_one_step_can_be_drawn_whatever_its_latency(latency: float) -> None:
    drawn = drawn_from(svg(report(step(1, latency=latency))))

    assert "saturated" not in [one.text for one in drawn.iter(f"{SVG}text")] or latency > 1


def test_plot_of_a_load_of_which_nothing_came_through_can_be_drawn() -> None:
    assert drawn_from(svg(report(step(100, 0)))) is not None
