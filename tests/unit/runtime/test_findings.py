import json
from collections.abc import AsyncIterator

import pytest

from ingress_runtime.findings import Finding, Level, clocks, fail, of_line, ok, report, warn
from ingress_runtime.redact import remember

pytestmark = pytest.mark.anyio


async def these(*findings: Finding) -> AsyncIterator[Finding]:
    for one in findings:
        yield one


async def test_findings_are_shown_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    well = await report(
        these(
            ok("core", "it is ready", ("a detail",)),
            warn("clock", "it is late", "Set it."),
            fail("keys", "none", "Make one."),
        ),
        as_json=False,
    )
    assert not well
    assert capsys.readouterr().out.splitlines() == [
        "ok    core: it is ready",
        "        a detail",
        "warn  clock: it is late",
        "      → Set it.",
        "fail  keys: none",
        "      → Make one.",
        "1 to mend, 1 to look at, 1 as they should be",
    ]


async def test_all_is_well_only_if_everything_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert await report(these(ok("core", "it is ready")), as_json=False)
    assert capsys.readouterr().out.endswith("all is well\n")
    assert not await report(these(warn("clock", "late", "Set it.")), as_json=False)


async def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert not await report(these(fail("keys", "none", "Make one.", ("a",))), as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "well": False,
        "findings": [
            {
                "level": "fail",
                "subject": "keys",
                "found": "none",
                "remedy": "Make one.",
                "details": ["a"],
            }
        ],
    }


@pytest.mark.parametrize("as_json", [True, False])
async def test_known_secrets_and_queries_are_hidden_everywhere(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    remember("hunter2-finding")
    text = "hunter2-finding at ws://host/live?apiKey=hunter3"
    await report(these(fail(text, text, text, (text,))), as_json=as_json)
    shown = capsys.readouterr().out
    assert "hunter" not in shown
    assert shown.count("ws://host/live?apiKey=***") == 4


@pytest.mark.parametrize(
    ("ahead", "level", "found"),
    [
        (0.4, Level.OK, "this machine's clock agrees with core's"),
        (-3.0, Level.OK, "this machine's clock is 3 s behind core's"),
        (7.2, Level.WARN, "this machine's clock is 7 s ahead of core's"),
        (-7_200.0, Level.FAIL, "this machine's clock is 7200 s behind core's"),
    ],
)
def test_clocks_are_judged_by_how_far_they_are_apart(
    ahead: float, level: Level, found: str
) -> None:
    finding = clocks("clock", ahead, "core's")
    assert (finding.level, finding.found) == (level, found)
    assert (finding.remedy is None) is (level is Level.OK)


def test_a_line_of_an_error_is_split_into_what_is_wrong_and_what_to_do() -> None:
    finding = of_line("settings", "  A='1': must be 2. Set it right: it counts.")
    assert (finding.found, finding.remedy) == ("A='1': must be 2", "Set it right: it counts.")
    assert of_line("settings", "A is wrong").remedy == "Correct it."
