"""Named statements from `.sql` files: `-- name: xyz` opens one, the next comment says what for."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from types import MappingProxyType

_NAME = re.compile(r"^-- name: ([a-z_]+)\n(?=-- \S)", re.MULTILINE)
_names: dict[str, str] = {}


@cache
def load(package: str, resource: str) -> Mapping[str, str]:
    """Return the statements of `resource` (a path in `package`) by name.

    Raises ValueError if the file has text before its first name, a name twice, or a name that no
    comment explains.
    """
    content = files(package).joinpath(resource).read_text(encoding="utf-8")
    head, *parts = _NAME.split(content)
    if head.strip() or content.count("-- name:") * 2 != len(parts):
        raise ValueError(
            f"{package}/{resource}: each statement opens with '-- name: xyz' and a comment"
        )
    names = parts[::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{package}/{resource}: a name is given twice")
    statements = dict(zip(names, parts[1::2], strict=True))
    file = PurePosixPath(resource).stem
    _names.update((text, f"{file}.{name}") for name, text in statements.items())
    return MappingProxyType(statements)


def name_of(text: str) -> str | None:
    """Return `{file}.{name}` of a statement that was loaded, None for any other text."""
    return _names.get(text)
