"""The whole way from what processes serve to what an operator reads, without a network."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ingress_runtime.status.lookout import contributors
from ingress_runtime.status.reading import parse
from ingress_runtime.status.rendering import Answer, Status, document, fitted, lines
from ingress_runtime.status.section import Level, merged
from ingress_runtime.status.verdict import verdict
from ingress_runtime.status.window import Span, Window
from tests.unit.status.processes import NOW, SECONDS, consumer, core, publisher

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def outage() -> Status:
    spans = [
        Span(parse(say(later=False), NOW - SECONDS), parse(say(later=True), NOW))
        for say in (publisher, core, consumer)
    ]
    window = Window(spans, NOW)
    sections = merged(part for one in contributors() for part in one(window))
    symptoms = [one for section in reversed(sections) for one in section.symptoms]
    answers = [
        Answer("http://127.0.0.1:9464/metrics", "publisher"),
        Answer("http://127.0.0.1:8080/metrics", "api"),
        Answer("http://127.0.0.1:9465/metrics", "consumer"),
    ]
    words = verdict(symptoms, lasting={"breaker": 14.0})
    return Status(NOW, window.seconds, tuple(answers), tuple(sections), words)


@pytest.mark.parametrize("width", [80, 120])
def test_an_outage_reads_as_it_was_once_looked_at(outage: Status, width: int) -> None:
    text = "\n".join([*lines(outage, width), ""])
    golden = GOLDEN / f"outage_{width}.txt"
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_the_document_shows_this_very_picture() -> None:
    page = (Path(__file__).parents[3] / "docs" / "status.md").read_text(encoding="utf-8")
    picture = (GOLDEN / "outage_80.txt").read_text(encoding="utf-8")
    assert f"```\n{picture}```" in page


@pytest.mark.parametrize("width", [20, 40, 63, 80, 100, 120, 300])
def test_no_line_is_wider_than_the_terminal_within_reason(outage: Status, width: int) -> None:
    assert max(map(len, lines(outage, width))) <= min(max(width, 40), 120)


def test_colours_change_nothing_but_colours(outage: Status) -> None:
    coloured = lines(outage, 80, colour=True)
    assert any("\x1b[31m" in line for line in coloured)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured]
    assert plain == lines(outage, 80)


def test_a_low_terminal_keeps_the_head_and_the_verdict(outage: Status) -> None:
    text = lines(outage, 80)
    low = fitted(text, 20)
    assert len(low) == 20
    assert low[0] == text[0]
    end = text[text.index("", 1) :]
    assert low[-len(end) :] == end
    hidden = len(text) - 19
    assert f"… {hidden} more lines: make the terminal higher" in low
    assert fitted(text, len(text)) == text


@pytest.mark.parametrize("height", [1, 2, 3, 5])
def test_a_terminal_of_a_few_lines_is_not_overrun(outage: Status, height: int) -> None:
    assert len(fitted(lines(outage, 80), height)) <= height


def test_a_process_that_does_not_answer_is_said_with_its_address(outage: Status) -> None:
    gone = Answer("http://127.0.0.1:9465/metrics", "consumer", "Connection refused")
    text = lines(replace(outage, answers=(*outage.answers[:2], gone)), 120)
    assert text[0].endswith("seen: publisher, api")
    assert text[1] == (
        "consumer at http://127.0.0.1:9465/metrics does not answer: Connection refused"
    )


def test_the_first_look_says_that_it_is_since_the_start(outage: Status) -> None:
    assert "since the start" in lines(replace(outage, seconds=None), 80)[0]


def test_scripts_get_numbers_in_base_units(outage: Status) -> None:
    found = json.loads(json.dumps(document(outage), allow_nan=False))
    assert found["at"] == "2025-11-24T16:00:00.000+00:00"
    assert found["window_seconds"] == 10.0
    assert [one["name"] for one in found["processes"]] == ["publisher", "api", "consumer"]
    assert found["verdict"]["level"] == Level.BAD.name.lower()
    sections = found["sections"]
    assert sections["throughput"]["frames_per_second"] == 200.0
    assert sections["throughput"]["sent_http_records_per_second"] == 150.0
    assert sections["throughput"]["sent_kafka_records_per_second"] == 0.0
    assert sections["throughput"]["dead_lettered_envelopes_per_second"] == 10.0
    hop = next(one for one in sections["hops"]["hops"] if one["hop"] == "publisher")
    assert hop == {
        "hop": "publisher",
        "messages": 1_500.0,
        "median_seconds": 5.5,
        "p99_seconds": pytest.approx(9.91),
        "note": "longest",
    }
    assert sections["journals"]["limit_bytes"] == 4 * 2**30
    assert sections["streams"]["silent"] == [
        {"provider": "viriciti", "stream": "trucks", "silent_seconds": 200.0}
    ]
    assert sections["consumer"]["lag_records"] == 41.0
    assert sections["dead_letters"]["waiting"] == 120.0
    assert sections["database"]["slowest"][0]["statement"] == "commit"
    assert sections["database"]["slowest"][0]["share"] == pytest.approx(0.12)
