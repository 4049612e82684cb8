"""The convention that every metric of every room keeps, and the document that is made of them."""

import ast
import re
from collections import Counter as Tally
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest

from ingress_testbed.metrics_document import Definition, definitions
from ingress_testbed.metrics_table import LABELS, metrics_table
from ingress_testbed.rooms import modules

FOUND = definitions()

PREFIXES = {
    "ingress_runtime": ("ingress_", "kafka_"),
    "telematics_publisher": ("publisher_",),
    "core_ingest": ("core_ingest_",),
    "core_api": ("core_api_",),
    "core_consumer": ("core_consumer_",),
}

ALLOWED_LABELS = {
    *("cause", "door", "hop", "kind", "outcome", "partition", "provider", "python", "queue"),
    *("reason", "result", "route", "state", "statement", "status", "stream", "transport"),
    *("version", "way"),
}
"""A label more is a decision: its values must be bounded, whatever strangers send."""

QUALIFIERS = {
    *("abandoned", "acknowledged", "blocked", "damaged", "dropped", "ended", "exported", "folded"),
    *("gone", "in_flight", "in_flight_limit", "journalled", "limit", "received", "stopped"),
    *("undeliverable", "under_way", "waiting"),
}
"""What may follow the unit in a name: which of them are meant."""

MAKERS = {"Counter", "Gauge", "Histogram", "Summary", "Enum", "Info", "HeldSeconds"}


def ids(one: Definition) -> str:
    return one.name


def is_state(one: Definition) -> bool:
    return one.name in one.labels


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield what makes metrics: calls by a maker's name whose first argument is a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            first = node.args[0]
            maker = ast.unparse(node.func).rpartition(".")[2]
            if maker in MAKERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node


def named(call: ast.Call) -> str:
    return str(ast.literal_eval(call.args[0]))


def test_each_room_that_does_something_has_metrics() -> None:
    assert {one.room for one in FOUND} == set(PREFIXES)


@pytest.mark.parametrize("one", FOUND, ids=ids)
def test_a_name_begins_with_its_room(one: Definition) -> None:
    assert one.name.startswith(PREFIXES[one.room])
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", one.name)


@pytest.mark.parametrize("one", FOUND, ids=ids)
def test_a_counter_and_nothing_else_ends_in_total(one: Definition) -> None:
    assert one.name.endswith("_total") == (one.kind == "counter")


@pytest.mark.parametrize("one", FOUND, ids=ids)
def test_a_name_ends_with_its_unit_and_at_most_a_word_that_tells_which(one: Definition) -> None:
    if is_state(one) or one.name.endswith("_info"):
        assert one.kind == "gauge"
        assert not one.unit
        return
    assert one.unit, "name a unit: seconds, bytes, or a plural noun that UNITS knows"
    _, _, rest = f"_{one.name.removesuffix('_total')}".rpartition(f"_{one.unit}")
    assert not rest or rest.removeprefix("_") in QUALIFIERS
    if one.kind == "histogram" or one.unit in {"seconds", "bytes"}:
        assert not rest


@pytest.mark.parametrize("one", FOUND, ids=ids)
def test_a_description_is_made_of_whole_sentences(one: Definition) -> None:
    assert re.fullmatch(r"[A-Z].{10,}\.", one.text)


@pytest.mark.parametrize("one", FOUND, ids=ids)
def test_labels_are_of_those_that_are_bounded(one: Definition) -> None:
    assert set(one.labels) - {one.name} <= ALLOWED_LABELS


@pytest.mark.parametrize("one", [one for one in FOUND if one.kind == "histogram"], ids=ids)
def test_a_histogram_of_ours_has_buckets_that_rise(one: Definition) -> None:
    assert len(one.buckets) > 4
    assert list(one.buckets) == sorted(set(one.buckets))


def test_no_metric_is_defined_twice() -> None:
    made = Tally(named(call) for module in modules() for call in calls(parsed(module.__file__)))
    assert [name for name, times in made.items() if times > 1] == []
    texts = Tally(one.text for one in FOUND)
    assert [text for text, times in texts.items() if times > 1] == []


def test_metrics_stand_at_module_level_and_all_of_them_are_found() -> None:
    known = {one.name.removesuffix("_total") for one in FOUND}
    inside = []
    for module in modules():
        tree = parsed(module.__file__)
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        for function in [node for node in ast.walk(tree) if isinstance(node, functions)]:
            inside += [named(call) for call in calls(function)]
        assert {named(call).removesuffix("_total") for call in calls(tree)} <= known
    assert inside == []


def test_metrics_of_libraries_and_tests_are_not_ours() -> None:
    prometheus_client.Counter("test_metrics_document_seen", "Made by this test.")
    names = {one.name for one in definitions()}
    assert "test_metrics_document_seen_total" not in names
    assert not [name for name in names if name.startswith(("python_", "process_"))]


def test_names_are_those_of_the_scrape() -> None:
    scraped = {
        line.split()[2]: line.split()[3]
        for line in prometheus_client.generate_latest().decode().splitlines()
        if line.startswith("# TYPE")
    }
    assert {one.name: scraped.get(one.name) for one in FOUND} == {
        one.name: one.kind for one in FOUND
    }


def test_every_label_is_explained_and_none_that_there_is_not() -> None:
    used = {label for one in FOUND for label in one.labels if label != one.name}
    assert used == set(LABELS)


def test_the_table_tells_of_labels_and_the_values_that_are_known() -> None:
    table = metrics_table(
        [
            Definition(
                name="publisher_lost_frames_total",
                kind="counter",
                labels=("provider", "cause"),
                unit="frames",
                text="Frames lost: a|b.",
                room="telematics_publisher",
                values={"cause": ("full", "late")},
            ),
            Definition(
                name="core_api_mood",
                kind="gauge",
                labels=("core_api_mood",),
                unit="",
                text="Its mood.",
                room="core_api",
                values={"core_api_mood": ("well", "ill")},
            ),
            Definition(
                name="core_api_build_info",
                kind="gauge",
                labels=("version",),
                unit="",
                text="Its version.",
                room="core_api",
                values={"version": ("1.2.3",)},
            ),
        ]
    )
    lost = "`provider`; `cause`: `full`, `late` | frames | Frames lost: a\\|b. |"
    assert (
        f"## `telematics_publisher`\n\n{HEADER}| `publisher_lost_frames_total` | counter | {lost}\n"
        in table
    )
    assert "| `core_api_mood` | gauge | own name: `well`, `ill` |  | Its mood. |\n" in table
    assert "1.2.3" not in table, "the document is the same wherever it is made"


HEADER = "| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n"


def parsed(path: str | None) -> ast.Module:
    return ast.parse(Path(path or "").read_text("utf-8"))
