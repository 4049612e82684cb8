"""What an examination found: each finding says whether all is well, and if not, what to do."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from enum import StrEnum

import click

from ingress_runtime.redact import redact_known

SMALL_DIFFERENCE = 5.0
"""Seconds between two clocks that NTP keeps, with room for a slow answer and whole seconds."""

GREAT_DIFFERENCE = 60.0
"""Seconds from which a clock is broken. Core refuses edges that are 300 s ahead (by default)."""

_SET_THE_CLOCK = (
    "Let NTP set the clock of whichever machine is wrong (`timedatectl` shows it). Core refuses "
    "what comes from the future, and takes readings for it where the edge is behind."
)


class Level(StrEnum):
    """`ok`: as it should be. `warn`: it may work, look at it. `fail`: it cannot work like this."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was found, and unless that is `ok`, what to do.

    `details` are lines that show what was found, such as a stream's first frames.
    """

    level: Level
    subject: str
    found: str
    remedy: str | None = None
    details: tuple[str, ...] = ()


def ok(subject: str, found: str, details: tuple[str, ...] = ()) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(Level.OK, subject, found, None, details)


def warn(subject: str, found: str, remedy: str, details: tuple[str, ...] = ()) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(Level.WARN, subject, found, remedy, details)


def fail(subject: str, found: str, remedy: str, details: tuple[str, ...] = ()) -> Finding:
    """Return a finding that somebody must mend."""
    return Finding(Level.FAIL, subject, found, remedy, details)


def of_line(subject: str, line: str) -> Finding:
    """Return the failure that an error's line tells: its first sentence, and what to do."""
    found, _, remedy = line.strip().partition(". ")
    return fail(subject, found.rstrip("."), remedy or "Correct it.")


def clocks(subject: str, ahead: float, whose: str) -> Finding:
    """Judge this machine's clock, which is `ahead` seconds (negative: behind) of `whose`."""
    apart = abs(ahead)
    if apart < 1.0:
        return ok(subject, f"this machine's clock agrees with {whose}")
    found = f"this machine's clock is {apart:.0f} s {'ahead of' if ahead > 0 else 'behind'} {whose}"
    if apart <= SMALL_DIFFERENCE:
        return ok(subject, found)
    judge = warn if apart <= GREAT_DIFFERENCE else fail
    return judge(subject, found, _SET_THE_CLOCK)


async def report(findings: AsyncIterator[Finding], *, as_json: bool) -> bool:
    """Print findings as they come (or one JSON object at the end); return whether all are `ok`.

    Secrets that this process knows are hidden; what others said must be harmless already.
    """
    found = []
    async for each in findings:
        harmless = _harmless(each)
        found.append(harmless)
        if not as_json:
            _show(harmless)
    tally = {level: sum(one.level is level for one in found) for level in Level}
    well = tally[Level.OK] == len(found)
    if as_json:
        click.echo(
            json.dumps(
                {"well": well, "findings": [asdict(one) for one in found]},
                ensure_ascii=False,
            )
        )
    else:
        click.echo(
            "all is well"
            if well
            else f"{tally[Level.FAIL]} to mend, {tally[Level.WARN]} to look at, "
            f"{tally[Level.OK]} as they should be"
        )
    return well


def _harmless(finding: Finding) -> Finding:
    return Finding(
        finding.level,
        redact_known(finding.subject),
        redact_known(finding.found),
        None if finding.remedy is None else redact_known(finding.remedy),
        tuple(redact_known(line) for line in finding.details),
    )


def _show(finding: Finding) -> None:
    colour = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}[finding.level]
    click.echo(
        f"{click.style(f'{finding.level:<4}', fg=colour)}  {finding.subject}: {finding.found}"
    )
    for line in finding.details:
        click.echo(f"        {line}")
    if finding.remedy:
        click.echo(f"      → {finding.remedy}")
