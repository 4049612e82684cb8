from pathlib import Path

from click.testing import CliRunner

from ingress_runtime.cli import main
from telematics_publisher.commands import _why
from telematics_publisher.settings import PublisherSettings


def test_help_shows_a_streams_file_and_how_to_start() -> None:
    shown = CliRunner().invoke(main, ["publisher", "run", "--help"])
    assert shown.exit_code == 0
    assert "[workspaces.acme]" in shown.output
    assert "ingress publisher run --streams streams.toml" in shown.output


def test_a_misspelt_setting_refuses_the_start() -> None:
    environ = {"PUBLISHER_GRACE_SECOND": "3", "INGRESS_API_URL": "http://127.0.0.1:1"}
    shown = CliRunner().invoke(main, ["publisher", "run"], env=environ)
    assert shown.exit_code == 2
    assert "Did you mean PUBLISHER_GRACE_SECONDS?" in shown.output


def test_a_directory_that_cannot_be_made_is_told_as_it_was_asked_for() -> None:
    error = PermissionError(13, "Permission denied", "/srv")
    said = _why(error, PublisherSettings(journal_dir=Path("/srv/ingress/journals")))
    assert said.startswith(
        "journals cannot be kept in /srv/ingress/journals: /srv: Permission denied. Choose a "
        "PUBLISHER_JOURNAL_DIR"
    )


def test_an_address_of_core_without_a_scheme_is_told() -> None:
    shown = CliRunner().invoke(
        main, ["publisher", "run"], env={"INGRESS_API_URL": "core.example.com:8080"}
    )
    assert shown.exit_code == 2
    assert "INGRESS_API_URL='core.example.com:8080': must begin with http:// or https://" in (
        shown.output
    )


def test_help_says_that_a_check_subscribes_beside_a_publisher_that_runs() -> None:
    shown = CliRunner().invoke(main, ["publisher", "check", "--help"])
    assert "opens a subscription of its own with the same key" in " ".join(shown.output.split())


def test_a_missing_streams_file_is_told() -> None:
    environ = {"INGRESS_API_URL": "http://127.0.0.1:1"}
    arguments = ["publisher", "run", "--streams", "/nowhere/streams.toml"]
    shown = CliRunner().invoke(main, arguments, env=environ)
    assert shown.exit_code == 2
    assert "/nowhere/streams.toml: cannot be read" in shown.output
