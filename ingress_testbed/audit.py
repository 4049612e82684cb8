"""`python -m ingress_testbed.audit FILE...`: pinned packages against published advisories.

Asks pip-audit, first by the package index and then by OSV. Fails on any advisory, and on packages
that a service which knows others does not know. Where no service answers it says that nothing was
audited, and succeeds: a workshop without a way out is no reason to stop.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import click

SERVICES = ("pypi", "osv")
_NO_ANSWER = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "Could not connect", "ProxyError")


class Verdict(Enum):
    """What an audit says: nobody answered, all is well, or something is not."""

    NOT_RUN = "not run"
    CLEAN = "clean"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Audit:
    """A verdict, and a line for each thing that somebody must look at."""

    verdict: Verdict
    lines: tuple[str, ...] = ()


def judge(packages: Sequence[Mapping[str, Any]]) -> Audit:
    """Return what a report of pip-audit (its `dependencies`) amounts to.

    An index that does not speak of advisories makes pip-audit skip every package, and succeed: that
    is no audit.
    """
    skipped = [one for one in packages if "skip_reason" in one]
    if len(skipped) == len(packages):
        return Audit(Verdict.NOT_RUN)
    lines = [*_advisories(packages), *(f"{one['name']}: {one['skip_reason']}" for one in skipped)]
    return Audit(Verdict.BAD if lines else Verdict.CLEAN, tuple(lines))


def _advisories(packages: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for one in packages:
        for found in one.get("vulns", ()):
            remedy = ", ".join(found.get("fix_versions", ())) or "no version yet"
            yield f"{one['name']} {one['version']}: {found['id']}, mended in {remedy}"


def ask(service: str, requirements: Sequence[Path]) -> Audit:
    """Run pip-audit with one service. Raises click.ClickException if it fails for another reason."""
    files = [part for path in requirements for part in ("--requirement", str(path))]
    done = subprocess.run(  # noqa: S603 — our own interpreter and files
        [
            sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json",
            "--require-hashes", "--disable-pip", "--progress-spinner", "off", *files,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        return judge(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        if any(sign in done.stderr for sign in _NO_ANSWER):
            return Audit(Verdict.NOT_RUN)
        raise click.ClickException(f"pip-audit failed:\n{done.stderr.strip()}") from None


@click.command()
@click.argument(
    "requirements",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
def main(requirements: tuple[Path, ...]) -> None:
    """Audit the packages that REQUIREMENTS pin."""
    for service in SERVICES:
        audit = ask(service, requirements)
        if audit.verdict is Verdict.BAD:
            raise click.ClickException("\n".join((f"audit by {service}:", *audit.lines)))
        if audit.verdict is Verdict.CLEAN:
            click.echo(f"audit by {service}: no known advisory")
            return
    click.echo("audit NOT RUN: the advisory service cannot be reached", err=True)


if __name__ == "__main__":
    main()
