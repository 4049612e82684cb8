"""What is wrong in streams.toml, for people: key path, value, rule and remedy, and never a secret."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ingress_contracts.fields import Name, Provider, Text
from ingress_runtime.redact import HIDDEN, redact_field

_LONGEST_VALUE = 80
_SECRETS = {"api_key", "credential"}

_RULES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "int_type": "must be a whole number",
    "missing": "is missing",
    "model_type": "must be a table",
    "extra_forbidden": "is no key of this table",
    "string_type": "must be a text in quotes",
    "string_too_long": "is too long",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "tuple_type": "must be a list in brackets",
}
_REMEDIES = {
    "too_short": "List at least one.",
    "string_too_short": "Write something between the quotes.",
}
_REFERENCE = 'must be { env = "NAME" } or { file = "PATH" }'
_NO_SECRETS_HERE = "No secret is written into this file: say where it is."
_DOUBLE_BRACKETS = "Begin each stream with [[streams]], its tables below it with [streams.…]."


class Described:
    """Raw tables with the model that they must follow, to find one's way by a location."""

    def __init__(self, model: type[BaseModel], raw: object, also: Iterable[str] = ()) -> None:
        self._model = model
        self._raw = raw
        self._also = tuple(also)

    def explain(self, error: ValidationError) -> Iterator[tuple[tuple[int | str, ...], str]]:
        """Yield the location and the text (value, rule, remedy) of each problem."""
        for detail in error.errors(include_url=False):
            location = tuple(part for part in detail["loc"] if part != "[key]")
            yield location, self._text(location, detail)

    def _text(self, location: tuple[int | str, ...], detail: Any) -> str:
        kind = detail["type"]
        if kind in {"missing", "extra_forbidden"}:
            remedy = self._missing(location) if kind == "missing" else self._unknown(location)
            return f": {_RULES[kind]}. {remedy}"
        if (
            location
            and location[-1] in _SECRETS
            and kind in {"model_type", "model_attributes_type"}
        ):
            return f": {_REFERENCE}. {_NO_SECRETS_HERE}"
        if location == ("streams",) and kind == "tuple_type":
            return f": must be a list of tables. {_DOUBLE_BRACKETS}"
        shown = f" = {value}" if (value := _shown(location, detail["input"])) else ""
        remedy = _REMEDIES.get(kind, "Correct it.")
        if kind == "tuple_type" and isinstance(detail["input"], Mapping):
            inner = next(iter(detail["input"]), "")
            remedy = f'An id with a dot goes into quotes: "{location[-1]}.{inner}" = […].'
        if len(location) > 1 and location[-1] in self._also:
            remedy = f"If {location[-1]!r} is meant for the stream, write it above [streams.…]."
        return f"{shown}: {_rule(detail)}. {remedy}"

    def _missing(self, location: tuple[int | str, ...]) -> str:
        """Say what to write, or which misspelt key was meant."""
        *parent, key = location
        table = _value_at(self._raw, parent)
        fields = _fields_at(self._model, parent)
        if isinstance(table, Mapping):
            strange = [one for one in table if one not in fields and one not in self._also]
            if meant := near(str(key), strange):
                return f"{meant!r} looks like it: correct that name."
        info = fields.get(str(key))
        return f"Add it: {info.description}" if info and info.description else "Add it."

    def _unknown(self, location: tuple[int | str, ...]) -> str:
        *parent, key = location
        known = [*_fields_at(self._model, parent), *(self._also if not parent else ())]
        if meant := near(str(key), known):
            return f"Did you mean {_as_written(meant, _value_at(self._raw, location), parent)}?"
        return f"Remove it. Known here: {', '.join(known)}."


def _as_written(key: str, value: object, parent: Iterable[int | str]) -> str:
    """Return a key as it stands in the file: one of the file's own begins a table, or a list of them."""
    if any(True for _ in parent):
        return repr(key)
    if isinstance(value, list):
        return f"[[{key}]]"
    if isinstance(value, Mapping):
        inner = next((name for name, one in value.items() if isinstance(one, Mapping)), None)
        return repr(key) if inner is None else f"[{key}.{inner}]"
    return repr(key)


def near(name: str, known: Iterable[str]) -> str | None:
    """Return which of `known` was probably meant by `name`, if any was."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return found[0] if found else None


def _rule(detail: Any) -> str:
    kind = detail["type"]
    if kind == "string_pattern_mismatch":
        return _words(detail["ctx"]["pattern"])
    return _RULES.get(kind) or str(detail["msg"]).removeprefix("Value error, ").rstrip(".")


def rule_of(kind: Any) -> str:
    """Return in words what a text of this type (Name, Provider, Text) must be."""
    if kind is Provider:
        return (
            "lower-case letters, digits, underscore and hyphen, beginning with a letter; at most 64"
        )
    words = (_info(kind).description or "").rstrip(".")
    return words[0].lower() + words[1:]


def _words(pattern: str) -> str:
    """Say a pattern in words."""
    for kind in (Name, Provider, Text):
        if any(getattr(one, "pattern", None) == pattern for one in _info(kind).metadata):
            return f"must be: {rule_of(kind)}"
    return f"must match {pattern}"


def _info(kind: Any) -> FieldInfo:
    (info,) = (one for one in get_args(kind) if isinstance(one, FieldInfo))
    return info


def _shown(location: tuple[int | str, ...], value: object) -> str | None:
    """Return a value that may be shown, None for what is long or not plain."""
    if not isinstance(value, str | int | float) or _SECRETS & set(location):
        return None
    name = str(location[-1]) if location else ""
    harmless = redact_field(name, value)
    text = HIDDEN if harmless == HIDDEN else repr(harmless)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _value_at(raw: object, location: Iterable[int | str]) -> object:
    for part in location:
        if isinstance(raw, Mapping):
            raw = raw.get(part)
        elif isinstance(raw, list) and isinstance(part, int):
            raw = raw[part]
        else:
            return None
    return raw


def _fields_at(model: type[BaseModel], location: Iterable[int | str]) -> Mapping[str, FieldInfo]:
    """Return the fields of the model that a location leads to; none where it leads elsewhere."""
    found: Any = model
    for part in location:
        if isinstance(found, type) and issubclass(found, BaseModel):
            info = found.model_fields.get(str(part))
            found = _plain(info.annotation) if info else None
        elif arguments := get_args(found):  # dict[key, value] or tuple[item, ...]
            found = _plain(arguments[1] if get_origin(found) is dict else arguments[0])
        else:
            return {}
    is_model = isinstance(found, type) and issubclass(found, BaseModel)
    return found.model_fields if is_model else {}


def _plain(annotation: Any) -> Any:
    """Strip what stands beside a type, and None."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        rest = [one for one in get_args(annotation) if one is not type(None)]
        return _plain(rest[0])
    return annotation
