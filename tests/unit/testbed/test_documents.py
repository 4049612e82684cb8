from pathlib import Path
from typing import Annotated, Literal

import pytest
from click.testing import CliRunner
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from ingress_runtime.settings import Settings
from ingress_testbed import documents
from ingress_testbed.documents import Document


class SampleSettings(Settings):
    """How a sample is taken.

    More about it.
    """

    model_config = SettingsConfigDict(env_prefix="INGRESS_SAMPLE_")

    key: SecretStr = Field(description="What opens it.")
    size: int | None = Field(default=None, ge=1, le=9, description="How much: a|b.")
    mode: Literal["thin", "thick"] = Field(default="thin", description="Which way.")
    place: Annotated[str, Field(pattern="^[a-z]+$")] | None = Field(
        default=None, description="Where."
    )
    pin: SecretStr = Field(default=SecretStr("hunter2"), description="Never shown.")


@pytest.fixture
def one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Document:
    document = Document(tmp_path / "new" / "made.md", "made\n")
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    monkeypatch.setattr(documents, "settings_classes", list)
    monkeypatch.setattr(documents, "documents", lambda: [document])
    return document


def test_the_settings_table_states_default_bounds_and_meaning() -> None:
    table = documents.settings_table([SampleSettings])
    assert "## How a sample is taken\n" in table
    assert "| `INGRESS_SAMPLE_KEY` | required | secret | What opens it. |" in table
    assert "| `INGRESS_SAMPLE_SIZE` | unset | whole number, ≥ 1, ≤ 9 | How much: a\\|b. |" in table
    assert "| `INGRESS_SAMPLE_MODE` | `thin` | `thin` or `thick` | Which way. |" in table
    assert "| `INGRESS_SAMPLE_PLACE` | unset | text | Where. |" in table


def test_the_settings_table_shows_no_secret() -> None:
    assert "hunter2" not in documents.settings_table([SampleSettings])


def test_a_shared_variable_that_neighbours_would_refuse_is_found() -> None:
    assert "INGRESS_SAMPLE_KEY" in documents.unregistered([SampleSettings])


def test_every_shared_variable_of_the_rooms_is_known_to_all() -> None:
    assert documents.unregistered(documents.settings_classes()) == []


def test_settings_of_every_process_are_documented() -> None:
    names = {settings.__name__ for settings in documents.settings_classes()}
    assert {"ApiSettings", "DatabaseSettings", "LogSettings", "PublisherSettings"} <= names
    assert "SampleSettings" not in names


def test_a_missing_document_fails_the_check_and_says_what_to_run(one_document: Document) -> None:
    result = CliRunner().invoke(documents.main, ["--check"])
    assert result.exit_code == 1
    assert "out of date: new/made.md. Run `make docs`" in result.output
    assert not one_document.path.exists()


def test_a_stale_document_is_written_and_then_passes_the_check(one_document: Document) -> None:
    one_document.path.parent.mkdir()
    one_document.path.write_text("stale\n")
    assert CliRunner().invoke(documents.main).exit_code == 0
    assert one_document.path.read_text() == "made\n"
    assert CliRunner().invoke(documents.main, ["--check"]).exit_code == 0
