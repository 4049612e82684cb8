from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

import click
import pytest
from click.testing import CliRunner

from ingress_runtime import cli


@click.command("works")
def works() -> None:
    """Do what it says."""
    click.echo("done")


NOT_A_COMMAND = object()


class Failing(EntryPoint):
    """An entry point whose module needs another module, which is not installed."""

    def load(self) -> Any:
        raise ModuleNotFoundError("No module named 'asyncpg'", name="asyncpg.pool")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    group = cli.GROUP
    found = EntryPoints(
        [
            EntryPoint("works", f"{__name__}:works", group),
            Failing("api", "core_api.commands:api", group),
            Failing("plugin", "somebody_else.commands:plugin", group),
            EntryPoint("broken", "core_api.no_such_module:broken", group),
            EntryPoint("odd", f"{__name__}:NOT_A_COMMAND", group),
        ]
    )
    monkeypatch.setattr(cli, "entry_points", found.select)
    monkeypatch.setattr(EntryPoint, "load", load_here)


real_load = EntryPoint.load


def load_here(entry: EntryPoint) -> Any:
    """Load from this module, which pytest's importlib mode does not make importable by name."""
    module, _, name = entry.value.partition(":")
    return globals()[name] if module == __name__ else real_load(entry)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.main, arguments)
    return result.exit_code, result.output


@pytest.mark.usefixtures("installed")
class TestMain:
    def test_a_command_is_found_by_its_entry_point(self) -> None:
        assert run("works") == (0, "done\n")

    def test_a_command_whose_extra_is_missing_says_what_to_install(self) -> None:
        code, output = run("api", "--port", "80")
        assert code == 2
        assert "pip install 'telematics-ingress[api]'" in output

    def test_asking_for_its_help_says_so_too(self) -> None:
        assert "pip install 'telematics-ingress[api]'" in run("api", "--help")[1]

    def test_somebody_elses_command_names_the_missing_module(self) -> None:
        assert "install asyncpg, which somebody_else.commands needs" in run("plugin")[1]

    def test_a_missing_module_of_our_own_is_not_mistaken_for_an_extra(self) -> None:
        output = run("broken")[1]
        assert "reinstall telematics-ingress" in output
        assert "core_api.no_such_module" in output

    def test_an_unknown_command_is_refused(self) -> None:
        code, output = run("nothing")
        assert code == 2
        assert "No such command" in output

    def test_an_entry_point_that_is_no_command_is_a_defect(self) -> None:
        with pytest.raises(TypeError, match="names no click command"):
            CliRunner().invoke(cli.main, ["odd"], catch_exceptions=False)

    def test_the_list_shows_available_and_missing_commands(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = ["api", "works"]
        monkeypatch.setattr(cli.Commands, "list_commands", lambda *_: names)
        code, output = run("--help")
        assert code == 0
        assert "Do what it says." in output
        assert "(not installed) pip install 'telematics-ingress[api]'" in output


def test_the_version_is_that_of_the_distribution() -> None:
    assert run("--version")[0] == 0


def test_every_room_with_commands_has_an_extra() -> None:
    rooms = {entry.module.partition(".")[0] for entry in entry_points(group=cli.GROUP)}
    assert rooms - {"ingress_runtime"} <= cli.EXTRAS.keys()  # the runtime is always there
