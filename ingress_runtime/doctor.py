"""`ingress doctor`: what the installed rooms find out about this machine.

A room contributes an Examination as an entry point of the group `ingress.checks`. It is loaded when
its dependencies are there, and runs when the environment says that this machine is its concern.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

import click

from ingress_runtime.faults import FaultSettings
from ingress_runtime.findings import Finding, fail, of_line, ok, report, warn
from ingress_runtime.settings import (
    LogSettings,
    Settings,
    SettingsError,
    load,
    strangers,
    variables,
)

GROUP = "ingress.checks"

_SUBJECT = "settings"


@dataclass(frozen=True, slots=True)
class Examination:
    """What a room can find out about the machine that it runs on.

    `settings` are read before `examine` is called, which happens only if they are valid, and only
    if the machine is `concerned`; `concerned_if` says in words when that is. Both are given the
    environment.
    """

    name: str
    settings: tuple[type[Settings], ...]
    concerned: Callable[[Mapping[str, str]], bool]
    concerned_if: str
    examine: Callable[[Mapping[str, str]], AsyncIterator[Finding]]


@click.command(
    epilog="""\b
Examples:
  INGRESS_DATABASE_URL=postgresql://core@localhost/core ingress doctor
  INGRESS_API_URL=https://ingress.example.com PUBLISHER_STREAMS=streams.toml ingress doctor
  ingress doctor --json
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def doctor(as_json: bool) -> None:
    """Examine this machine as core's, the edge's or both, by what its environment names.

    Settings, database and schema, keys, clocks, core and providers within reach, journals: each
    finding that is not `ok` says what to do. Nothing is changed, and no secret is shown. The exit
    code is 0 only if all is well.
    """
    environ = {name: value for name, value in os.environ.items() if value}
    found = diagnose(_installed(), environ)
    if not asyncio.run(report(found, as_json=as_json)):
        raise SystemExit(1)


async def diagnose(
    examinations: Sequence[Examination], environ: Mapping[str, str]
) -> AsyncIterator[Finding]:
    """Yield the findings about the settings, then those of every concerned examination."""
    concerned = [one for one in examinations if one.concerned(environ)]
    if not concerned:
        yield _nothing(examinations)
    for finding in _settings(concerned, environ):
        yield finding
    for one in concerned:
        if _problems(one.settings, environ):
            yield warn(one.name, "not examined further", "Mend its settings, then ask again.")
            continue
        async for finding in one.examine(environ):
            yield finding


def _installed() -> list[Examination]:
    """Return the examinations whose dependencies are installed, by name."""
    found = []
    for entry in entry_points(group=GROUP):
        try:
            found.append(entry.load())
        except ModuleNotFoundError:  # another machine's room: its extra is not installed here
            continue
    return sorted(found, key=lambda one: one.name)


def _settings(concerned: Sequence[Examination], environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with all settings together, or that nothing is."""
    classes: list[type[Settings]] = [LogSettings, FaultSettings]
    classes += [kind for one in concerned for kind in one.settings]
    problems = _problems(classes, environ)
    yield from (of_line(_SUBJECT, line) for line in problems)
    if concerned and not problems:
        names = {variable.name for kind in classes for variable in variables(kind)}
        roles = ", ".join(one.name for one in concerned)
        yield ok(
            _SUBJECT, f"valid for {roles}; {len(names & environ.keys())} set, the rest default"
        )
    for name, meant in strangers(classes, environ):
        remedy = f"Did you mean {meant}?" if meant else "Remove it, or install what reads it."
        yield warn(_SUBJECT, f"{name} is read by nothing that is installed here", remedy)
    if environ.get("INGRESS_FAULTS") and not problems:
        yield warn(_SUBJECT, "INGRESS_FAULTS makes processes kill themselves", "Remove it.")


def _problems(classes: Sequence[type[Settings]], environ: Mapping[str, str]) -> tuple[str, ...]:
    try:
        load(*classes, environ=environ)
    except SettingsError as error:
        return tuple(dict.fromkeys(line.strip() for line in error.problems))
    return ()


def _nothing(examinations: Sequence[Examination]) -> Finding:
    if not examinations:
        return fail(
            "installation",
            "neither core nor the edge is installed here",
            "pip install 'telematics-ingress[api]' for core, '[publisher]' for the edge.",
        )
    ways = dict.fromkeys(one.concerned_if for one in examinations)
    return fail(
        "environment",
        "it names nothing to examine",
        "Set what your processes are started with, then ask again. A machine is examined where "
        f"{'; or where '.join(ways)}.",
    )
