from click.testing import CliRunner

from ingress_runtime.cli import main


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


def test_a_missing_streams_file_is_told() -> None:
    environ = {"INGRESS_API_URL": "http://127.0.0.1:1"}
    arguments = ["publisher", "run", "--streams", "/nowhere/streams.toml"]
    shown = CliRunner().invoke(main, arguments, env=environ)
    assert shown.exit_code == 2
    assert "/nowhere/streams.toml: cannot be read" in shown.output
