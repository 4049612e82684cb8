"""Every setting of every process: a wrong value refuses the start and says what is wrong.

The cases are made from the settings classes of all rooms, so a new setting is tried as it appears.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from click.testing import CliRunner

from ingress_runtime.cli import main
from ingress_runtime.settings import (
    GREATEST,
    Settings,
    SettingsError,
    Variable,
    load,
    variables,
)
from ingress_testbed.documents import settings_classes

NONSENSE = "no such thing! \t?"

WRONG_TYPE: dict[Any, tuple[str, ...]] = {
    int: ("many", "1.5", "0x10", "9" * 5_000),
    float: ("many", "nan", "inf", "-inf", "1e400"),
    bool: ("perhaps",),
}

COMMANDS = {
    "core_api": ("api",),
    "core_consumer": ("consumer",),
    "core_ingest": ("api",),
    "telematics_publisher": ("publisher", "run"),
}
"""A command that reads the settings of a room."""


@dataclass(frozen=True)
class Case:
    settings: type[Settings]
    variable: Variable
    value: str

    def __str__(self) -> str:
        return f"{self.variable.name}={self.value[:20]}"


def leaves(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, without None and without what is written beside them."""
    if get_origin(annotation) in {Union, UnionType}:
        for argument in get_args(annotation):
            yield from leaves(argument)
    elif get_origin(annotation) is Annotated:
        yield from leaves(get_args(annotation)[0])
    elif annotation is not type(None):
        yield annotation


def beyond(variable: Variable, kind: type[int | float]) -> Iterator[str]:
    """Numbers just outside a variable's bounds, and beyond what any number may be."""
    step = 1 if kind is int else 0.001
    yield str(GREATEST * 10)
    yield str(-GREATEST * 10)
    for rule in variable.info.metadata:
        match rule:
            case Ge():
                yield repr(rule.ge - step)  # type: ignore[operator]  # it bounds a number
            case Gt():
                yield repr(rule.gt)
            case Le():
                yield repr(rule.le + step)  # type: ignore[operator]  # likewise
            case Lt():
                yield repr(rule.lt)


def wrong(variable: Variable) -> Iterator[str]:
    kinds = list(leaves(variable.info.annotation))
    if kinds == [Path]:
        return  # any text is a path; what is there is looked at when it is opened
    if variable.secret:
        yield f"{NONSENSE} of {variable.name}"  # logs hide it from now on: no other case has it
        return
    for kind in kinds:
        yield from WRONG_TYPE.get(kind, (NONSENSE,))
        if kind in {int, float}:
            yield from beyond(variable, kind)


CASES = [
    Case(settings, variable, value)
    for settings in settings_classes()
    for variable in variables(settings)
    for value in wrong(variable)
]


def problem(case: Case) -> str:
    """The line that speaks of the variable, from what refuses the start."""
    with pytest.raises(SettingsError) as caught:
        load(case.settings, environ={case.variable.name: case.value})
    (line,) = (one for one in caught.value.problems if f"{case.variable.name}=" in one)
    return line


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_wrong_value_is_refused_with_variable_value_rule_and_remedy(case: Case) -> None:
    line = problem(case)
    shown = "***" if case.variable.secret else repr(case.value)
    head, _, rest = line.partition(f"{case.variable.name}={shown}: ")
    rule, _, remedy = rest.partition(" Set it right: ")
    assert head.strip() == ""
    assert len(rule) > len("Input.")
    assert remedy == case.variable.info.description
    assert not case.variable.secret or case.value not in line


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CASES
        if case.settings.__module__.partition(".")[0] in COMMANDS
        and (case.value in {"many", NONSENSE} or case.variable.secret)
    ],
    ids=str,
)
def test_the_process_does_not_start(case: Case) -> None:
    command = COMMANDS[case.settings.__module__.partition(".")[0]]
    result = CliRunner().invoke(main, command, env={case.variable.name: case.value})
    assert result.exit_code == 2
    assert problem(case) in result.output


def test_every_setting_says_what_it_is_for() -> None:
    for settings in settings_classes():
        for variable in variables(settings):
            assert variable.info.description, f"{variable.name} has no description"


def test_every_number_has_a_least_value() -> None:
    for case in CASES:
        if {int, float} & set(leaves(case.variable.info.annotation)):
            rules = {type(rule) for rule in case.variable.info.metadata}
            assert rules & {Ge, Gt}, f"{case.variable.name} has no bound: Field(ge=...)"


def test_settings_of_every_process_are_tried() -> None:
    tried = {case.variable.name for case in CASES}
    assert {"CORE_API_HOST", "INGRESS_DATABASE_URL", "INGRESS_LOG_LEVEL"} <= tried
    assert {"INGRESS_API_URL", "PUBLISHER_WINDOW"} <= tried
