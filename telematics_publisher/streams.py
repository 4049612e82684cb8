"""`streams.toml`: which workspaces and streams a publisher serves, credentials by reference."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ingress_contracts.fields import Name
from ingress_runtime.redact import remember
from telematics_publisher.errors import StreamsError
from telematics_publisher.provider import ProviderStream, StreamEntry

_REMEDIES = {
    "missing": "Add the key.",
    "extra_forbidden": "Remove the key or correct its name.",
    "string_pattern_mismatch": "Correct the value.",
    "too_short": "List at least one.",
}


class Reference(BaseModel):
    """Where a secret is: in an environment variable or in a file (relative to streams.toml)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str | None = Field(default=None, min_length=1)
    file: Path | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError('give { env = "NAME" } or { file = "PATH" }, one of both')
        return self

    def resolve(self, environ: Mapping[str, str], directory: Path) -> SecretStr:
        """Return the secret, which logs hide from now on. Raises ValueError if there is none."""
        if self.file is None:
            found, where = environ.get(self.env or "", ""), f"environment variable {self.env}"
        else:
            path = directory / self.file
            where = f"file {path}"
            try:
                found = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{where} cannot be read: {error}") from error
        secret = found.strip()
        if not secret:
            raise ValueError(f"{where} is not set or empty")
        remember(secret)
        return SecretStr(secret)


class WorkspaceEntry(BaseModel):
    """One `[workspaces.NAME]` table: the publisher id is bound to the API key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    publisher: Name
    api_key: Reference


class StreamTable(StreamEntry):
    """One `[[streams]]` table with the reference to its credential."""

    credential: Reference


class StreamsFile(BaseModel):
    """The whole file, as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workspaces: dict[Name, WorkspaceEntry] = Field(min_length=1)
    streams: tuple[StreamTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace to serve: its publisher id, its key to core, its streams ready to run."""

    name: str
    publisher: str
    api_key: SecretStr
    streams: tuple[tuple[StreamEntry, ProviderStream], ...]


def load(
    path: Path, environ: Mapping[str, str], providers: Mapping[str, type[ProviderStream]]
) -> tuple[Workspace, ...]:
    """Read `path`, resolve its credentials and build its provider streams.

    Raises StreamsError, which lists every problem: file, key, rule and remedy.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StreamsError(
            f"{path}: cannot be read: {error.strerror}. Name the file with --streams; "
            "`ingress publisher run --help` shows one."
        ) from error
    except ValueError as error:
        raise StreamsError(f"{path}: is not valid TOML: {error}.") from error
    try:
        file = StreamsFile.model_validate(raw)
    except ValidationError as error:
        raise StreamsError("\n".join(_explain(path, error, (), raw))) from error
    loader = _Loader(path, environ, providers, file)
    workspaces = loader.workspaces()
    if loader.problems:
        raise StreamsError("\n".join(loader.problems))
    return workspaces


class _Loader:
    """Turns a file that is well-formed into workspaces, gathering what is wrong with it."""

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        providers: Mapping[str, type[ProviderStream]],
        file: StreamsFile,
    ) -> None:
        self.problems: list[str] = []
        self._path = path
        self._environ = environ
        self._providers = providers
        self._file = file

    def workspaces(self) -> tuple[Workspace, ...]:
        streams: dict[str, list[tuple[StreamEntry, ProviderStream]]] = {}
        seen: set[tuple[str, str]] = set()
        for at, table in enumerate(self._file.streams):
            key = f'streams[{at}] "{table.name}"'
            if (table.workspace, table.name) in seen:
                self._problem(f"{key}.name", "another stream has it. Give each its own name.")
            seen.add((table.workspace, table.name))
            if table.workspace not in self._file.workspaces:
                hint = _near(table.workspace, self._file.workspaces)
                self._problem(
                    f"{key}.workspace",
                    f"there is no [workspaces.{table.workspace}]. {hint or 'Add that table.'}",
                )
            stream = self._stream(key, table)
            if stream is not None:
                streams.setdefault(table.workspace, []).append((table, stream))
        return tuple(
            Workspace(name, entry.publisher, api_key, tuple(streams.get(name, ())))
            for name, entry in self._file.workspaces.items()
            if (api_key := self._secret(f"workspaces.{name}.api_key", entry.api_key)) is not None
        )

    def _stream(self, key: str, table: StreamTable) -> ProviderStream | None:
        provider = self._providers.get(table.provider)
        if provider is None:
            names = ", ".join(sorted(self._providers)) or "none"
            hint = _near(table.provider, self._providers) or "Install the package that brings it."
            self._problem(
                f"{key}.provider",
                f"{table.provider!r} is not installed (installed: {names}). {hint}",
            )
            return None
        credential = self._secret(f"{key}.credential", table.credential)
        if credential is None:
            return None
        try:
            return provider(table, credential)
        except ValidationError as error:
            self.problems += _explain(self._path, error, (key,), {})
            return None

    def _secret(self, key: str, reference: Reference) -> SecretStr | None:
        try:
            return reference.resolve(self._environ, self._path.parent)
        except ValueError as error:
            self._problem(key, f"{error}. Put the secret there, or refer to where it is.")
            return None

    def _problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self._path}: {key}: {text}")


def _explain(
    path: Path, error: ValidationError, prefix: Sequence[str], raw: Mapping[str, Any]
) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_context=False):
        key = ".".join((*prefix, *_named(detail["loc"], raw)))
        remedy = _REMEDIES.get(detail["type"], "Correct the value.")
        rule = detail["msg"].removeprefix("Value error, ")
        yield f"{path}: {key}: {rule}. {remedy}"


def _named(location: tuple[int | str, ...], raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parts of a location; a stream's number comes with its name."""
    match location:
        case ("streams", int() as at, *rest):
            name = _name_of(raw, at)
            yield f'streams[{at}] "{name}"' if name else f"streams[{at}]"
        case _:
            rest = list(location)
    yield from (str(part) for part in rest if part != "[key]")


def _name_of(raw: Mapping[str, Any], at: int) -> str | None:
    table = raw["streams"][at]
    name = table.get("name") if isinstance(table, dict) else None
    return name if isinstance(name, str) else None


def _near(name: str, known: Mapping[str, object]) -> str | None:
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {found[0]!r}?" if found else None
