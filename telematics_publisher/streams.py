"""`streams.toml`: which workspaces and streams a publisher serves, credentials by reference.

docs/streams.md is made from the models in here.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ingress_contracts.fields import Name
from ingress_runtime.redact import remember
from telematics_publisher.errors import StreamsError
from telematics_publisher.explanations import Described, near
from telematics_publisher.provider import ProviderStream, StreamEntry

_PLACE = re.compile(r"line (?P<line>\d+), column")
_SECRET = re.compile(r"key|credential|secret|token|password|\bik_", re.IGNORECASE)
_LONGEST_LINE = 80

SHORTEST = """\
[workspaces.acme]
publisher = "edge-1"
api_key = { env = "ACME_INGEST_KEY" }

[[streams]]
name = "buses"
workspace = "acme"
provider = "viriciti"
credential = { env = "VIRICITI_API_KEY" }

[streams.vehicles]
arcc_004 = ["gps", "speed", "odo", "soc", "power"]
"""
"""The shortest file that works."""


class Reference(BaseModel):
    """Where a secret is, since none is written into this file: give one of both keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str | None = Field(
        default=None, min_length=1, description="Name of the environment variable that holds it."
    )
    file: Path | None = Field(
        default=None,
        description="Path of the file that holds it and nothing else, relative to this file.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError('give { env = "NAME" } or { file = "PATH" }, one of both')
        return self

    def where(self, directory: Path) -> str:
        """Say where the secret is; files are relative to `directory`."""
        if self.file is None:
            return f"environment variable {self.env}"
        return f"file {directory / self.file}"

    def resolve(self, environ: Mapping[str, str], directory: Path) -> SecretStr:
        """Return the secret, which logs hide from now on. Raises ValueError if there is none."""
        where = self.where(directory)
        if self.file is None:
            found = environ.get(self.env or "", "")
            remedy = f"Set it: export {self.env}=..."
        else:
            remedy = "Write the secret into it, readable for this user, or correct the path."
            try:
                found = (directory / self.file).read_text("utf-8")
            except OSError as error:
                raise ValueError(f"{where} cannot be read: {error.strerror}. {remedy}") from error
            except UnicodeDecodeError:
                raise ValueError(f"{where} is not text. {remedy}") from None
        secret = found.strip()
        if not secret:
            raise ValueError(f"{where} is {'not set or ' if self.env else ''}empty. {remedy}")
        remember(secret)
        if not (secret.isascii() and secret.isprintable()):
            raise ValueError(
                f"{where} holds more than one line, or characters that no key has. "
                "Leave the secret in it and nothing else."
            )
        return SecretStr(secret)


class WorkspaceEntry(BaseModel):
    """A workspace to serve: one table for each, with a journal of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    publisher: Name = Field(
        description="This publisher's id in the workspace; the API key is bound to it."
    )
    api_key: Reference | None = Field(
        default=None,
        description="Where its API key is: one that `ingress keys create --role ingest` made. "
        "Needed under every INGRESS_TRANSPORT but `kafka`, which does not read it.",
    )


class StreamTable(StreamEntry):
    """A websocket to read: one table for each. Further keys are the provider's own."""

    credential: Reference = Field(description="Where the provider's key is.")


class StreamsFile(BaseModel):
    """The whole file, as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workspaces: dict[Name, WorkspaceEntry] = Field(
        min_length=1, description="A table [workspaces.NAME] for each workspace to serve."
    )
    streams: tuple[StreamTable, ...] = Field(
        default=(), description="A table [[streams]] for each websocket to read."
    )


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace to serve: its publisher id, its key to core, its streams ready to run.

    There is no key where the way to core asks for none. `key_from` says where it was found.
    """

    name: str
    publisher: str
    api_key: SecretStr | None
    streams: tuple[tuple[StreamEntry, ProviderStream], ...]
    key_from: str = "streams.toml"

    @property
    def key(self) -> SecretStr:
        """The key, where the file was loaded with those that it names."""
        if self.api_key is None:
            raise AssertionError("this workspace was loaded without its key")
        return self.api_key


def load(
    path: Path,
    environ: Mapping[str, str],
    providers: Mapping[str, type[ProviderStream]],
    *,
    api_keys: bool = True,
) -> tuple[Workspace, ...]:
    """Read `path`, resolve its credentials and build its provider streams.

    Without `api_keys`, keys to core's API may be missing, and are left alone where they are not.

    Raises StreamsError, which lists every problem: file, key, rule and remedy.
    """
    raw = _read(path)
    try:
        file = StreamsFile.model_validate(raw)
    except ValidationError as error:
        explained = Described(StreamsFile, raw).explain(error)
        raise StreamsError(
            "\n".join(f"{path}: {_key(place, raw)}{text}" for place, text in explained)
        ) from error
    loader = _Loader(path, environ, providers, file)
    workspaces = loader.workspaces(api_keys=api_keys)
    if loader.problems:
        raise StreamsError("\n".join(loader.problems))
    return workspaces


def _read(path: Path) -> dict[str, Any]:
    """Return what TOML makes of the file."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise StreamsError(
            f"{path}: cannot be read: {error.strerror}. Name the file with --streams or "
            "PUBLISHER_STREAMS; docs/streams.md describes it, and so does "
            "`ingress publisher run --help`."
        ) from error
    except UnicodeDecodeError as error:
        raise StreamsError(
            f"{path}: is not UTF-8 (byte {error.start + 1}). Save it as UTF-8."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise StreamsError(
            f"{path}: is not valid TOML: {error}{_line(path, str(error))}. Correct it there: "
            "https://toml.io shows how."
        ) from error


def _line(path: Path, error: str) -> str:
    """Return the line that an error of TOML speaks of, unless it might hold a secret."""
    place = _PLACE.search(error)
    if place is None:
        return ""
    line = path.read_text("utf-8-sig").split("\n")[int(place["line"]) - 1].strip()
    shown = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
    return f": {shown}" if shown and not _SECRET.search(line) else ""


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

    def workspaces(self, *, api_keys: bool) -> tuple[Workspace, ...]:
        streams: dict[str, list[tuple[StreamEntry, ProviderStream]]] = {}
        seen: dict[tuple[str, str], int] = {}
        for at, table in enumerate(self._file.streams):
            key = f'streams[{at}] "{table.name}"'
            first = seen.setdefault((table.workspace, table.name), at)
            if first != at:
                self._problem(
                    f"{key}.name", f"streams[{first}] has the same one. Give each its own name."
                )
            if table.workspace not in self._file.workspaces:
                meant = near(table.workspace, self._file.workspaces)
                remedy = f"Did you mean {meant!r}?" if meant else "Add that table."
                self._problem(
                    f"{key}.workspace", f"there is no [workspaces.{table.workspace}]. {remedy}"
                )
            stream = self._stream(key, table)
            if stream is not None:
                streams.setdefault(table.workspace, []).append((table, stream))
        return tuple(
            Workspace(
                name,
                entry.publisher,
                self._api_key(name, entry) if api_keys else None,
                tuple(streams.get(name, ())),
                entry.api_key.where(self._path.parent) if entry.api_key else "streams.toml",
            )
            for name, entry in self._file.workspaces.items()
        )

    def _api_key(self, name: str, entry: WorkspaceEntry) -> SecretStr | None:
        """Return a workspace's key; None comes with a problem."""
        key = f"workspaces.{name}.api_key"
        if entry.api_key is None:
            purpose = WorkspaceEntry.model_fields["api_key"].description
            self._problem(key, f"is missing. Add it: {purpose}")
            return None
        return self._secret(key, entry.api_key)

    def _stream(self, key: str, table: StreamTable) -> ProviderStream | None:
        provider = self._providers.get(table.provider)
        if provider is None:
            names = ", ".join(sorted(self._providers)) or "none"
            meant = near(table.provider, self._providers)
            hint = f"Did you mean {meant!r}?" if meant else "Install the package that brings it."
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
            fields = StreamTable.model_fields
            described = Described(provider.Options, dict(table.options), also=fields)
            for place, text in described.explain(error):
                self.problems.append(f"{self._path}: {'.'.join((key, *map(str, place)))}{text}")
            return None

    def _secret(self, key: str, reference: Reference) -> SecretStr | None:
        try:
            return reference.resolve(self._environ, self._path.parent)
        except ValueError as error:
            self._problem(key, str(error))
            return None

    def _problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self._path}: {key}: {text}")


def _key(location: tuple[int | str, ...], raw: Mapping[str, Any]) -> str:
    """Return a location as a path of keys; a stream's number comes with its name."""
    return ".".join(_parts(location, raw)) or "the file"


def _parts(location: tuple[int | str, ...], raw: Mapping[str, Any]) -> Iterator[str]:
    match location:
        case ("streams", int() as at, *rest):
            table = raw["streams"][at]
            name = table.get("name") if isinstance(table, dict) else None
            yield f'streams[{at}] "{name}"' if isinstance(name, str) else f"streams[{at}]"
        case _:
            rest = list(location)
    yield from (str(part) for part in rest)
