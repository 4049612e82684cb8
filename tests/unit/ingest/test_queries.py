from pathlib import Path
from typing import Any

import pytest

from core_ingest.store.queries import load

HOUSES = [
    ("core_ingest.store", "sql/identities.sql"),
    ("core_ingest.store", "sql/ingest.sql"),
    ("core_ingest.ledger", "ledger.sql"),
    ("core_ingest.dead_letters", "dead_letters.sql"),
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an importable package; its name is new for each test, as `load` remembers."""
    folder = tmp_path / f"statements_of_{tmp_path.name.replace('-', '_')}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def loaded(package: Path, content: str) -> dict[str, str]:
    (package / "some.sql").write_text(content, encoding="utf-8")
    return dict(load(package.name, "some.sql"))


def test_statements_are_found_by_name_with_the_comment_that_explains_them(package: Path) -> None:
    content = "-- name: one\n-- The first.\nSELECT 1;\n\n-- name: other\n-- Why.\nSELECT 2;\n"

    assert loaded(package, content) == {
        "one": "-- The first.\nSELECT 1;\n\n",
        "other": "-- Why.\nSELECT 2;\n",
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("SELECT 1;", "each statement opens with"),
        ("-- For all.\n-- name: one\n-- The first.\nSELECT 1;", "each statement opens with"),
        ("-- name: one\nSELECT 1;", "each statement opens with"),
        ("-- name: One\n-- The first.\nSELECT 1;", "each statement opens with"),
        ("-- name: one\n-- A.\nSELECT 1;\n-- name: two\nSELECT 2;", "each statement opens with"),
        ("-- name: one\n-- A.\nSELECT 1;\n-- name: one\n-- B.\nSELECT 2;", "a name is given twice"),
    ],
)
def test_file_that_breaks_the_form_is_named_with_the_rule(
    package: Path, content: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=rf"{package.name}/some\.sql: {complaint}"):
        loaded(package, content)


def test_missing_file_is_an_error_of_its_own(package: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(package.name, "none.sql")


def test_statements_cannot_be_changed(package: Path) -> None:
    loaded(package, "-- name: one\n-- The first.\nSELECT 1;")
    statements: Any = load(package.name, "some.sql")

    with pytest.raises(TypeError):
        statements["one"] = "SELECT 2;"


@pytest.mark.parametrize(("house", "resource"), HOUSES)
def test_every_statement_of_the_heart_is_explained(house: str, resource: str) -> None:
    for statement in load(house, resource).values():
        assert statement.startswith("-- ")
        assert statement.rstrip().endswith(";")
        assert statement.count(";\n") == 1
