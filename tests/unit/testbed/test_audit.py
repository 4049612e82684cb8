import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingress_testbed import audit
from ingress_testbed.audit import Audit, Verdict, judge

CLEAN = {"name": "click", "version": "8.2.0", "vulns": []}
SKIPPED = {"name": "httpx", "skip_reason": "not found"}
HOLED = {
    "name": "h11",
    "version": "0.1",
    "vulns": [{"id": "GHSA-1", "fix_versions": ["0.2"]}, {"id": "GHSA-2", "fix_versions": []}],
}


@pytest.mark.parametrize(
    ("packages", "audited"),
    [
        ([CLEAN], Audit(Verdict.CLEAN)),
        ([SKIPPED, SKIPPED], Audit(Verdict.NOT_RUN)),
        ([], Audit(Verdict.NOT_RUN)),
        ([CLEAN, SKIPPED], Audit(Verdict.BAD, ("httpx: not found",))),
        (
            [CLEAN, HOLED],
            Audit(
                Verdict.BAD,
                (
                    "h11 0.1: GHSA-1, mended in 0.2",
                    "h11 0.1: GHSA-2, mended in no version yet",
                ),
            ),
        ),
    ],
)
def test_report_is_judged_and_one_that_skipped_all_is_no_audit(
    packages: list[dict[str, Any]], audited: Audit
) -> None:
    assert judge(packages) == audited


@pytest.mark.parametrize(
    ("wrote", "code", "said"),
    [
        (("", "requests.exceptions.ConnectionError: no"), 0, "NOT RUN"),
        (('{"dependencies": [{"name": "a", "skip_reason": "b"}]}', ""), 0, "NOT RUN"),
        (('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', ""), 0, "no known"),
        (
            ('{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X"}]}]}', ""),
            1,
            "a 1: X",
        ),
        (("", "no such option"), 1, "no such option"),
    ],
)
def test_only_a_service_that_cannot_be_reached_lets_an_unaudited_set_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrote: tuple[str, str], code: int, said: str
) -> None:
    def run(*_: object, **__: object) -> Any:
        return subprocess.CompletedProcess([], 1, *wrote)

    monkeypatch.setattr(subprocess, "run", run)
    pins = tmp_path / "pins.txt"
    pins.touch()

    result = CliRunner().invoke(audit.main, [str(pins)])

    assert result.exit_code == code
    assert said in result.output
