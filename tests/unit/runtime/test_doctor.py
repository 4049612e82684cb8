from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from ingress_runtime import doctor
from ingress_runtime.cli import main
from ingress_runtime.doctor import Examination, diagnose
from ingress_runtime.findings import Finding, Level, ok
from ingress_runtime.settings import Settings

pytestmark = pytest.mark.anyio


class HarbourSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="HARBOUR_CRANE_")

    load: int = Field(default=3, ge=1, description="Tons at once.")


async def look(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    yield ok("crane", f"lifts {environ.get('HARBOUR_CRANE_LOAD', '3')} t")


def examination(name: str = "harbour") -> Examination:
    return Examination(
        name=name,
        settings=(HarbourSettings,),
        concerned=lambda environ: any(one.startswith("HARBOUR_") for one in environ),
        concerned_if="a HARBOUR_ variable is set",
        examine=look,
    )


async def found(**environ: str) -> list[Finding]:
    return [one async for one in diagnose([examination()], environ)]


async def test_what_the_environment_names_is_examined() -> None:
    assert await found(HARBOUR_CRANE_LOAD="5") == [
        ok("settings", "valid for harbour; 1 set, the rest default"),
        ok("crane", "lifts 5 t"),
    ]


async def test_an_environment_that_names_nothing_is_told_what_to_set() -> None:
    (finding,) = await found()
    assert finding.level is Level.FAIL
    assert "where a HARBOUR_ variable is set" in str(finding.remedy)


async def test_every_wrong_setting_is_a_finding_and_the_rest_is_not_examined() -> None:
    findings = await found(HARBOUR_CRANE_LOAD="0", INGRESS_LOG_LEVLE="info")
    assert [(one.level, one.subject) for one in findings] == [
        (Level.FAIL, "settings"),
        (Level.FAIL, "settings"),
        (Level.WARN, "harbour"),
    ]
    assert findings[0].found == "INGRESS_LOG_LEVLE is no known setting"
    assert str(findings[0].remedy).startswith("Did you mean INGRESS_LOG_LEVEL?")
    assert findings[1].found.startswith("HARBOUR_CRANE_LOAD='0': Input should be greater")
    assert findings[1].remedy == "Set it right: Tons at once."


async def test_a_name_that_no_installed_room_reads_is_worth_a_look() -> None:
    findings = await found(HARBOUR_CRAIN_LOAD="5")
    assert findings[1].level is Level.WARN
    assert findings[1].found == "HARBOUR_CRAIN_LOAD is read by nothing that is installed here"
    assert findings[1].remedy == "Did you mean HARBOUR_CRANE_LOAD?"


async def test_a_name_with_a_misspelt_prefix_is_worth_a_look() -> None:
    findings = await found(HARBOUR_CRANE_LOAD="5", INGRES_API_URL="http://core:8080")
    assert findings[1].level is Level.WARN
    assert findings[1].found == "INGRES_API_URL is read by nothing that is installed here"
    assert findings[1].remedy == "Did you mean INGRESS_API_URL?"


async def test_service_links_of_kubernetes_are_no_strangers() -> None:
    findings = await found(HARBOUR_CRAIN_PORT_80_TCP="tcp://10.0.0.1:80")
    assert [one.level for one in findings] == [Level.OK, Level.OK]


async def test_armed_fault_points_are_worth_a_look() -> None:
    environ = {
        "HARBOUR_CRANE_LOAD": "5",
        "INGRESS_FAULTS": "core.answer.ready:kill@1",
        "INGRESS_FAULTS_ALLOWED": "yes",
    }
    assert Level.WARN in {one.level for one in await found(**environ)}


class Fake(EntryPoint):
    """An entry point that loads an examination, or whose dependency is not installed."""

    def load(self) -> Any:
        if self.name == "missing":
            raise ModuleNotFoundError("No module named 'asyncpg'", name="asyncpg")
        return examination(self.name)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(*names: str) -> None:
        points = EntryPoints(Fake(name, "some.where:THING", doctor.GROUP) for name in names)
        monkeypatch.setattr(doctor, "entry_points", points.select)

    return install


def run(*arguments: str, **environ: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["doctor", *arguments], env=environ)
    return result.exit_code, result.output


def test_rooms_whose_extra_is_missing_are_left_out(installed: Callable[..., None]) -> None:
    installed("missing", "harbour")
    code, output = run(HARBOUR_CRANE_LOAD="5")
    assert code == 0
    assert "ok    crane: lifts 5 t" in output
    assert output.endswith("all is well\n")


def test_where_no_room_is_installed_it_says_what_to_install(
    installed: Callable[..., None],
) -> None:
    installed("missing")
    code, output = run()
    assert code == 1
    assert "pip install 'telematics-ingress[api]'" in output


def test_the_exit_code_tells_that_something_is_wrong(installed: Callable[..., None]) -> None:
    installed("harbour")
    assert run("--json", HARBOUR_CRANE_LOAD="0")[0] == 1
