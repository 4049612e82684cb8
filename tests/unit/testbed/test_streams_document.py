from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import BaseModel

from ingress_testbed.streams_document import streams_guide
from telematics_publisher import provider
from telematics_publisher.streams import SHORTEST, Reference, StreamTable, WorkspaceEntry, load

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "streams.example.toml"
ENVIRON = {"ACME_INGEST_KEY": "acme-ingest-key", "VIRICITI_API_KEY": "viriciti-api-key"}


def models() -> Iterator[type[BaseModel]]:
    yield from (WorkspaceEntry, StreamTable, Reference)
    for stream in provider.installed().values():
        yield stream.Options


KEYS = [(model, key) for model in models() for key in model.model_fields]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example beside the secrets that it refers to."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("harbour.key", "viriciti.key"):
        (secrets / name).write_text("a-secret-key\n")
    copy = tmp_path / "streams.toml"
    copy.write_text(EXAMPLE.read_text())
    return copy


@pytest.mark.parametrize(("model", "key"), KEYS)
def test_every_key_is_described_and_stands_in_guide_and_example(
    model: type[BaseModel], key: str
) -> None:
    described = model.model_fields[key].description
    assert described
    assert f"| `{key}` |" in streams_guide()
    assert described.replace("|", "\\|") in streams_guide()
    example = EXAMPLE.read_text()
    assert f"{key} = " in example or f".{key}]" in example


def test_the_example_can_be_loaded(example: Path) -> None:
    acme, harbour = load(example, ENVIRON, provider.installed())
    assert (acme.name, harbour.name) == ("acme", "harbour")
    assert [entry.name for entry, _ in (*acme.streams, *harbour.streams)] == ["buses", "ferries"]


def test_the_example_has_an_explanation_above_or_beside_every_key(example: Path) -> None:
    lines = [line.strip() for line in example.read_text().splitlines()]
    explained = {
        line.partition(" = ")[0]
        for before, line in pairwise(lines)
        if " = " in line and (before.startswith("#") or "#" in line)
    }
    assert {
        "publisher",
        "api_key",
        "name",
        "workspace",
        "provider",
        "credential",
        "url",
    } <= explained


def test_the_shortest_file_works(tmp_path: Path) -> None:
    path = tmp_path / "streams.toml"
    path.write_text(SHORTEST)
    (acme,) = load(path, ENVIRON, provider.installed())
    assert len(acme.streams) == 1


def test_the_readme_shows_a_file_that_works(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme.partition("```toml\n")[2].partition("```")[0]
    path = tmp_path / "streams.toml"
    path.write_text(block)
    assert load(path, ENVIRON, provider.installed())


def test_the_guide_describes_every_installed_provider() -> None:
    for name in provider.installed():
        assert f'provider = "{name}"' in streams_guide()
