"""Each alert has a runbook, each runbook the same parts, and its commands exist with their options."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from ingress_runtime.cli import main

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "ops" / "runbooks"
INDEX = RUNBOOKS / "README.md"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path != INDEX)
PARTS = ["What it means", "How to see", "How to decide", "What to type", "Afterwards"]
LONGEST = 60

each_page = pytest.mark.parametrize("page", PAGES, ids=[path.stem for path in PAGES])


def severities() -> dict[str, str]:
    return {
        rule["alert"]: rule["labels"]["severity"]
        for path in (ROOT / "ops" / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each `ingress …`: of lines to type, and of those named in a sentence."""
    typed = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    named = re.findall(r"`(ingress [^`\n]+)`", prose)
    lines = [line for block in typed for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *named]:
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), ";"]:
            if word not in {"|", ";", "&&", "||"}:
                words.append(word)
                continue
            if words and words[0] == "ingress":
                yield words[1:]
            words = []


def parse(arguments: list[str]) -> None:
    """Parse a command line as `ingress` would, and run nothing. Raises what click raises."""
    command: click.Command = main
    context = click.Context(main, info_name="ingress")
    rest = list(arguments)
    while isinstance(command, click.Group):
        if not rest:
            return  # a sentence speaks of all that is in a group
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no such command: {name}")
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context(command.name, rest, parent=context.parent)


ALL = sorted(
    {
        (path.stem, shlex.join(line))
        for path in [*PAGES, INDEX]
        for line in commands(path.read_text())
    }
)


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert {page.stem for page in PAGES} == set(severities())


@each_page
def test_a_runbook_has_the_parts_that_all_have(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == PARTS
    assert "\n| symptom | cause | whose fault, what next |\n" in text


@each_page
def test_a_runbook_fits_a_page(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= LONGEST


def test_the_index_lists_them_with_their_severity() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|", INDEX.read_text(), re.MULTILINE)
    assert {(name, severity) for name, _, severity in listed} == set(severities().items())
    assert all(name == target for name, target, _ in listed)


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda path: path.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_dashboards_are_called_by_their_names() -> None:
    titles = {
        json.loads(path.read_text())["title"]
        for path in (ROOT / "ops" / "grafana" / "dashboards").glob("*.json")
    }
    named = {
        name
        for page in PAGES
        for name in re.findall(r"\*\*([A-Z][a-z]+(?: [a-z]+)*)\*\*", page.read_text())
    }
    assert named == titles


@pytest.mark.parametrize(("page", "line"), ALL, ids=[f"{page}: {line}" for page, line in ALL])
def test_a_command_exists_with_its_options(
    page: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del page
    monkeypatch.setenv("INGRESS_API_URL", "https://ingress.example.com")  # as the index asks for
    parse(shlex.split(line))


def test_commands_are_found_behind_pipes_comments_and_breaks() -> None:
    text = "Say `ingress doctor`.\n```sh\nls | ingress keys list \\\n  --json # all; of them\nls ingress\n```\n"
    assert list(commands(text)) == [["keys", "list", "--json"], ["doctor"]]


@pytest.mark.parametrize(
    "line",
    [
        "no-such-command",
        "keys no-such",
        "keys list --no-such",
        "keys create",
        "publisher check --seconds x",
    ],
)
def test_a_command_that_rotted_is_seen(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(shlex.split(line))
