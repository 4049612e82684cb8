"""`docs/streams.md`, made from the models of streams.toml and of the installed providers."""

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ingress_contracts.fields import Name, Provider, Text
from telematics_publisher import explanations, provider
from telematics_publisher.streams import SHORTEST, Reference, StreamTable, WorkspaceEntry

_HEAD = """\
# streams.toml

Generated from the publisher's models by `make docs`; do not edit.

One file lists what a publisher serves: workspaces and the provider streams that feed them. It is
named by `--streams` or `PUBLISHER_STREAMS`, and is `streams.toml` in the working directory by
default. It is [TOML](https://toml.io) in UTF-8. [streams.example.toml](streams.example.toml) shows
every key with a comment.

It holds no secrets, only where they are. It is read once, at the start: a change needs a restart.
Whatever is wrong in it refuses the start, all at once, each with its place, the rule and what to do;
a misspelt key is answered with the nearest name.

```sh
ingress publisher check --streams streams.toml   # try it: connects, subscribes, shows three frames
ingress publisher run --streams streams.toml
```
"""

_EXAMPLE = """\
## The shortest file that works

```toml
{example}```
"""

_KINDS: dict[Any, str] = {str: "text", Path: "path", int: "whole number", bool: "`true`/`false`"}


def streams_guide() -> str:
    """Return `docs/streams.md`."""
    sections = [
        _HEAD,
        _EXAMPLE.format(example=SHORTEST),
        _section("`[workspaces.NAME]`", WorkspaceEntry),
        _section("`[[streams]]`", StreamTable),
        *(
            _section(f'`[[streams]]` of provider = "{name}"', stream.Options)
            for name, stream in sorted(provider.installed().items())
        ),
        _section("Where a secret is: `api_key`, `credential`", Reference),
        _rules(),
    ]
    return "\n".join(sections)


def _section(title: str, model: type[BaseModel]) -> str:
    purpose = " ".join((model.__doc__ or "").split())
    rows = "".join(_row(name, info) for name, info in model.model_fields.items())
    return (
        f"## {title}\n\n{purpose}\n\n| key | needed | value | meaning |\n|---|---|---|---|\n{rows}"
    )


def _row(name: str, info: FieldInfo) -> str:
    needed = "yes" if info.is_required() else "no"
    meaning = (info.description or "").replace("|", "\\|")
    return f"| `{name}` | {needed} | {_kind(info.annotation)} | {meaning} |\n"


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in {Union, UnionType}:
        return " or ".join(_kind(one) for one in arguments if one is not type(None))
    if origin is dict:
        return f"table: {_kind(arguments[0])} = {_kind(arguments[1])}"
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    if annotation is Reference:
        return '`{ env = "NAME" }` or `{ file = "PATH" }`'
    return _KINDS.get(annotation) or annotation.__name__.lower()


def _rules() -> str:
    kinds = {
        "Names of workspaces, publishers and streams": Name,
        "Names of providers": Provider,
        "Vehicle ids and labels": Text,
    }
    lines = "".join(f"- {title}: {explanations.rule_of(kind)}.\n" for title, kind in kinds.items())
    return f"## Names and texts\n\n{lines}"
