"""Documents that are generated from the code and committed.

    python -m ingress_testbed.documents           write them
    python -m ingress_testbed.documents --check   fail where a committed one differs

JSON Schemas of the contract, the OpenAPI document of core's API, the AsyncAPI document of its topic,
the table of all settings, the guide to streams.toml, the table of all metrics, and the dashboards.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import click
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from core_api import app
from core_consumer import asyncapi
from ingress_contracts import schema
from ingress_runtime.settings import SHARED_PREFIX, SHARED_VARIABLES, Settings, Variable, variables
from ingress_testbed.metrics_document import definitions
from ingress_testbed.metrics_table import metrics_table
from ingress_testbed.rooms import ROOMS, modules, room_of
from ingress_testbed.streams_document import streams_guide

ROOT = Path(__file__).parents[1]

_BOUNDS: Mapping[type, Callable[[Any], str]] = {
    Ge: lambda bound: f"≥ {bound.ge}",
    Gt: lambda bound: f"> {bound.gt}",
    Le: lambda bound: f"≤ {bound.le}",
    Lt: lambda bound: f"< {bound.lt}",
    MinLen: lambda bound: f"at least {bound.min_length} long",
    MaxLen: lambda bound: f"at most {bound.max_length} long",
}

_SETTINGS_HEAD = """\
# Settings

Generated from the settings classes by `make docs`; do not edit.

Every setting is an environment variable. `INGRESS_*` is shared between processes, `PUBLISHER_*` is
the edge, `CORE_*` is core. A process refuses to start when it meets a variable of its own or of
`INGRESS_*` that it does not know, and suggests the nearest name. An empty variable counts as unset.
Variables that Kubernetes injects for a Service (`CORE_API_PORT_8080_TCP` and the like) are ignored.
Secrets are never printed: not in errors, not in logs.
"""


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the repository and the text that belongs into it."""

    path: Path
    text: str

    def is_current(self) -> bool:
        """Whether the file holds exactly this text."""
        return self.path.is_file() and self.path.read_text(encoding="utf-8") == self.text

    def write(self) -> None:
        """Put the text into the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text, encoding="utf-8")


def documents(root: Path = ROOT) -> Iterator[Document]:
    """Yield every generated document of the repository at `root`."""
    from ingress_testbed.observability.dashboards import dashboards  # noqa: PLC0415 — not in the wheel

    for name, made in schema.schemas().items():
        yield Document(root / "ingress_contracts" / "schemas" / name, schema.render(made))
    described = json.dumps(app.openapi(), indent=2, ensure_ascii=False)
    yield Document(root / "core_api" / "openapi.json", described + "\n")
    yield Document(root / "core_consumer" / "asyncapi.json", asyncapi.render())
    yield Document(root / "docs" / "settings.md", settings_table(settings_classes()))
    yield Document(root / "docs" / "streams.md", streams_guide())
    yield Document(root / "docs" / "metrics.md", metrics_table(definitions()))
    for board in dashboards():
        yield Document(root / "ops" / "grafana" / "dashboards" / board.file, board.render())


def settings_classes() -> list[type[Settings]]:
    """Return the settings classes of all rooms, in the rooms' order, then by name.

    Every module of every room is imported, so a class needs no registration to be documented.
    """
    modules()
    found = [one for one in _descendants(Settings) if room_of(one.__module__) in ROOMS]
    return sorted(found, key=lambda one: (ROOMS.index(room_of(one.__module__)), one.__name__))


def unregistered(classes: list[type[Settings]]) -> list[str]:
    """Return the `INGRESS_*` variables of `classes` that other rooms would refuse to meet."""
    declared = {variable.name for one in classes for variable in variables(one)}
    return sorted(
        name for name in declared if name.startswith(SHARED_PREFIX) and name not in SHARED_VARIABLES
    )


def settings_table(classes: list[type[Settings]]) -> str:
    """Return `docs/settings.md`: a table for each class, and the names that nothing reads yet."""
    sections = [_SETTINGS_HEAD, *(_section(one) for one in classes)]
    declared = {variable.name for one in classes for variable in variables(one)}
    if reserved := sorted(SHARED_VARIABLES - declared):
        names = ", ".join(f"`{name}`" for name in reserved)
        sections.append(
            f"## Reserved\n\nAccepted by every process and read by none yet: {names}.\n"
        )
    return "\n".join(sections)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail where a file differs.")
def main(check: bool) -> None:
    """Write the generated documents of this repository, or check them."""
    if names := unregistered(settings_classes()):
        raise click.ClickException(
            f"{', '.join(names)}: add to SHARED_VARIABLES in ingress_runtime/settings.py, or other "
            "processes that share the environment will refuse to start"
        )
    stale = [document for document in documents() if not document.is_current()]
    paths = ", ".join(str(document.path.relative_to(ROOT)) for document in stale)
    if check and stale:
        raise click.ClickException(f"out of date: {paths}. Run `make docs` and commit the result.")
    for document in stale:
        document.write()
    click.echo(f"written: {paths}" if stale else "generated documents are up to date")


def _descendants(parent: type[Settings]) -> Iterator[type[Settings]]:
    for child in parent.__subclasses__():
        yield child
        yield from _descendants(child)


def _section(settings: type[Settings]) -> str:
    room = room_of(settings.__module__)
    purpose = (settings.__doc__ or "").strip().splitlines()[0]
    rows = "".join(_row(variable) for variable in variables(settings))
    return (
        f"## {purpose.rstrip('.')}\n\n`{settings.__module__}.{settings.__name__}`, of `{room}`\n\n"
        f"| variable | default | value | meaning |\n|---|---|---|---|\n{rows}"
    )


def _row(variable: Variable) -> str:
    meaning = (variable.info.description or "").replace("|", "\\|")
    return f"| `{variable.name}` | {_default(variable)} | {_value(variable)} | {meaning} |\n"


def _default(variable: Variable) -> str:
    if variable.required:
        return "required"
    default = variable.info.get_default(call_default_factory=True)
    if default is None:
        return "unset"
    return "secret" if variable.secret else f"`{default}`"


def _value(variable: Variable) -> str:
    bounds = [_BOUNDS[type(rule)](rule) for rule in variable.info.metadata if type(rule) in _BOUNDS]
    kind = "secret" if variable.secret else _kind(variable.info.annotation)
    return ", ".join([kind, *bounds]).replace("|", "\\|")


def _kind(annotation: Any) -> str:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        names = {"str": "text", "int": "whole number", "float": "number", "bool": "`true`/`false`"}
        return names.get(annotation.__name__, annotation.__name__.lower())
    if get_origin(annotation) is Annotated:  # beside None; alone, pydantic has taken it apart
        return _kind(get_args(annotation)[0])
    kinds = [
        f"`{argument}`" if isinstance(argument, str) else _kind(argument)
        for argument in get_args(annotation)
        if argument is not type(None)
    ]
    return " or ".join(dict.fromkeys(kinds)) or str(annotation)


if __name__ == "__main__":
    main()
