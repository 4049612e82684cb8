"""Settings: frozen objects that a process builds once, from its environment, in its command.

`load` is the only reader of the environment. It refuses the start when a variable is unknown, so
that a misspelt name is found by the deployment and not by the night shift.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, overload

import click
from pydantic import Field, SecretBytes, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ingress_runtime import redact

SHARED_PREFIX = "INGRESS_"

SHARED_VARIABLES = frozenset(
    {
        "INGRESS_API_URL",
        "INGRESS_DATABASE_POOL_SIZE",
        "INGRESS_DATABASE_STATEMENT_TIMEOUT_SECONDS",
        "INGRESS_DATABASE_URL",
        "INGRESS_FAULTS",
        "INGRESS_FAULTS_ALLOWED",
        "INGRESS_KAFKA_BOOTSTRAP",
        "INGRESS_KAFKA_CA_FILE",
        "INGRESS_KAFKA_CERTIFICATE_FILE",
        "INGRESS_KAFKA_COMPRESSION",
        "INGRESS_KAFKA_KEY_FILE",
        "INGRESS_KAFKA_SASL_MECHANISM",
        "INGRESS_KAFKA_SASL_PASSWORD",
        "INGRESS_KAFKA_SASL_USERNAME",
        "INGRESS_KAFKA_SECURITY_PROTOCOL",
        "INGRESS_KAFKA_TOPIC",
        "INGRESS_LOG_FORMAT",
        "INGRESS_LOG_LEVEL",
        "INGRESS_QUEUE_DEADLINE_SECONDS",
        "INGRESS_QUEUE_LONGEST_PAUSE_SECONDS",
        "INGRESS_QUEUE_PAUSE_SECONDS",
        "INGRESS_QUEUE_PROBES",
        "INGRESS_RECORDINGS",
        "INGRESS_TESTBED_KAFKA",
        "INGRESS_TESTBED_POSTGRES",
        "INGRESS_TRACE_RATIO",
        "INGRESS_TRACING",
        "INGRESS_TRANSPORT",
    }
)
"""Every `INGRESS_*` variable of the project, since each process meets those of its neighbours.

One environment is often shared by all processes (an env file, a ConfigMap), and a process cannot
import its neighbour's settings class to learn the names: the publisher is installed without core's
dependencies. `make check` compares this set with the settings classes of all rooms.
"""

_LINK_NAME = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")

_VERY_NEAR = 0.9
"""How like a known name (difflib's ratio) one is that does not even have a known prefix."""

GREATEST = 10**15
"""No number in a setting is larger: clocks, SQLite and Postgres would fail at it, much later."""

Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:%-]{1,255}$")]
"""A host's name or address to listen on, without a port."""


class SettingsError(click.ClickException):
    """The environment does not make valid settings. One line for each problem; exit code 2."""

    exit_code = 2

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(("the settings are not valid:", *self.problems)))


class Settings(BaseSettings):
    """Base of every settings class: frozen, and one environment variable for each field.

    A subclass sets `model_config = SettingsConfigDict(env_prefix="PUBLISHER_")`; the variable of
    field `batch_size` is then `PUBLISHER_BATCH_SIZE`. Each field is a scalar that reads from a
    string, with `Field(description=...)`; secrets are `SecretStr`. The constructor reads no
    environment: tests give the values that they mean.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        use_attribute_docstrings=False,
    )

    @field_validator("*")
    @classmethod
    def _sane(cls, value: Any) -> Any:
        if isinstance(value, int | float) and abs(value) > GREATEST:
            raise ValueError(f"Input should be at most {GREATEST}")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 — the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — `load` reads the environment
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — no .env is read in secret
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor alone."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: where its value goes and what the documents say about it."""

    name: str
    field: str
    info: FieldInfo

    @property
    def secret(self) -> bool:
        """Whether the value must never be shown."""
        return _mentions_secret(self.info.annotation)

    @property
    def required(self) -> bool:
        """Whether a process cannot start without it."""
        return self.info.is_required()


def variables(settings: type[Settings]) -> Iterator[Variable]:
    """Yield the variables that `settings` reads, in the order of its fields."""
    prefix = settings.model_config.get("env_prefix", "")
    for field, info in settings.model_fields.items():
        yield Variable(name=f"{prefix}{field}".upper(), field=field, info=info)


class LogSettings(Settings):
    """How a process speaks.

    Logs go to stderr; stdout belongs to a command's own output.
    """

    model_config = SettingsConfigDict(env_prefix="INGRESS_LOG_")

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level that is logged."
    )
    format: Literal["console", "json"] = Field(
        default="console", description="For people (`console`) or for a log pipeline (`json`)."
    )


A = TypeVar("A", bound=Settings)
B = TypeVar("B", bound=Settings)
C = TypeVar("C", bound=Settings)
D = TypeVar("D", bound=Settings)
E = TypeVar("E", bound=Settings)
F = TypeVar("F", bound=Settings)


@overload
def load(first: type[A], /, *, environ: Mapping[str, str] | None = None) -> tuple[A]: ...
@overload
def load(
    first: type[A], second: type[B], /, *, environ: Mapping[str, str] | None = None
) -> tuple[A, B]: ...
@overload
def load(
    first: type[A], second: type[B], third: type[C], /, *, environ: Mapping[str, str] | None = None
) -> tuple[A, B, C]: ...
@overload
def load(
    first: type[A],
    second: type[B],
    third: type[C],
    fourth: type[D],
    /,
    *,
    environ: Mapping[str, str] | None = None,
) -> tuple[A, B, C, D]: ...
@overload
def load(
    first: type[A],
    second: type[B],
    third: type[C],
    fourth: type[D],
    fifth: type[E],
    /,
    *,
    environ: Mapping[str, str] | None = None,
) -> tuple[A, B, C, D, E]: ...
@overload
def load(
    first: type[A],
    second: type[B],
    third: type[C],
    fourth: type[D],
    fifth: type[E],
    sixth: type[F],
    /,
    *,
    environ: Mapping[str, str] | None = None,
) -> tuple[A, B, C, D, E, F]: ...
@overload
def load(
    *classes: type[Settings], environ: Mapping[str, str] | None = None
) -> tuple[Settings, ...]: ...
def load(
    *classes: type[Settings], environ: Mapping[str, str] | None = None
) -> tuple[Settings, ...]:
    """Build `classes` from `environ` (default: the process's environment), in their order.

    A process calls this once, with all classes that it reads. Variables that begin with `INGRESS_`
    or with a class's own prefix must be known: to one of the classes, or as `SHARED_VARIABLES`. An
    empty variable counts as unset. Service links that Kubernetes injects (`CORE_API_PORT_8080_TCP`)
    are ignored. Secrets are remembered, so that logs hide them; so are, from the process's own
    environment, variables whose very prefix looks misspelt, for the log's first lines: see
    `take_misspelt`.

    Raises SettingsError, which lists every problem: variable, value, rule and remedy.
    """
    given = {
        name: value
        for name, value in (os.environ if environ is None else environ).items()
        if value and not _is_service_link(name, value)
    }
    misspelt = _misspelt(given, classes)
    problems = list(_unknown(given, classes))
    built: list[Settings] = []
    for settings in classes:
        try:
            built.append(_build(settings, given))
        except ValidationError as error:
            problems += _describe(error, settings, given)
    if problems:
        raise SettingsError(_hinted(problem, misspelt) for problem in problems)
    if environ is None:
        _passed_by.update(misspelt)
    return tuple(built)


_passed_by: dict[str, str] = {}  # process-wide, as the environment itself is


def take_misspelt() -> Iterator[tuple[str, str]]:
    """Yield variables that `load` passed by and the settings that they look like, each once."""
    while _passed_by:
        name = min(_passed_by)
        yield name, _passed_by.pop(name)


def strangers(
    classes: Iterable[type[Settings]], environ: Mapping[str, str]
) -> Iterator[tuple[str, str | None]]:
    """Yield variables that `load` lets pass and yet look like ours, each with the nearest name.

    Such as CORE_APY_PORT beside CORE_API_PORT: it may be another room's, which is not here. Or
    INGRES_API_URL beside INGRESS_API_URL: it may be another program's.
    """
    classes = tuple(classes)
    names = _known(classes)
    misspelt = _misspelt(environ, classes)
    prefixes = tuple(_prefixes(classes))
    families = tuple({f"{prefix.partition('_')[0]}_" for prefix in prefixes})
    for name in sorted(environ.keys() - names):
        ours = name.startswith(families) and not name.startswith(prefixes)
        if (
            (ours or name in misspelt)
            and environ[name]
            and not _is_service_link(name, environ[name])
        ):
            yield name, _near(name, names)


def _build(settings: type[Settings], given: Mapping[str, str]) -> Settings:
    values: dict[str, Any] = {}
    for variable in variables(settings):
        if (value := given.get(variable.name)) is not None:
            values[variable.field] = value
            if variable.secret:
                redact.remember(value)
    return settings(**values)


def _unknown(given: Mapping[str, str], classes: Iterable[type[Settings]]) -> Iterator[str]:
    prefixes = tuple(_prefixes(classes))
    known = _known(classes)
    for name in sorted(given):
        if name.startswith(prefixes) and name not in known:
            near = _near(name, known)
            hint = f"Did you mean {near}?" if near else "All names are in docs/settings.md."
            yield f"  {name} is no known setting. {hint} Correct the name or remove it."


def _known(classes: Iterable[type[Settings]]) -> frozenset[str]:
    """Return the names of all variables that may be set: those of `classes` and the shared ones."""
    return SHARED_VARIABLES | {variable.name for each in classes for variable in variables(each)}


def _misspelt(given: Mapping[str, str], classes: Iterable[type[Settings]]) -> dict[str, str]:
    """Return the variables whose prefix is not ours, by a letter or so, and what they look like."""
    classes = tuple(classes)
    known = _known(classes)
    prefixes = tuple(_prefixes(classes))
    found = {}
    for name in given.keys() - known:
        if not name.startswith(prefixes) and (near := _near(name, known, _VERY_NEAR)):
            found[name] = near
    return found


def _hinted(problem: str, misspelt: Mapping[str, str]) -> str:
    """Return the problem, and which variable may have been meant for the one that it names."""
    hints = (
        f" {name} is set: a misspelling of it?"
        for name, near in sorted(misspelt.items())
        if problem.startswith(f"  {near} ")
    )
    return problem + "".join(hints)


def _prefixes(classes: Iterable[type[Settings]]) -> set[str]:
    """Return what the names of these settings begin with, and those of the shared ones."""
    return {SHARED_PREFIX} | {
        each.model_config.get("env_prefix", "").upper() or SHARED_PREFIX for each in classes
    }


def _near(name: str, known: Iterable[str], cutoff: float = 0.75) -> str | None:
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def _describe(
    error: ValidationError, settings: type[Settings], given: Mapping[str, str]
) -> Iterator[str]:
    by_field = {variable.field: variable for variable in variables(settings)}
    for detail in error.errors(include_url=False, include_context=False):
        variable = by_field.get(str(detail["loc"][0])) if detail["loc"] else None
        if variable is None:  # a rule over several fields
            yield f"  {redact.redact_text(_rule(detail['msg']))}"
            continue
        purpose = variable.info.description or "see docs/settings.md"
        value = given.get(variable.name)
        if value is None:
            yield f"  {variable.name} is not set. Set it: {purpose}"
            continue
        shown = redact.HIDDEN if variable.secret else repr(redact.redact_text(value))
        rule = _rule(detail["msg"])
        if variable.secret:
            rule = rule.replace(value, shown)
        yield f"  {variable.name}={shown}: {rule} Set it right: {purpose}"


def _rule(message: str) -> str:
    """Return pydantic's message as a sentence."""
    return message.removeprefix("Value error, ").rstrip(".") + "."


def _is_service_link(name: str, value: str) -> bool:
    """Tell the variables that Kubernetes injects for a Service, such as one named `core-api`."""
    if _LINK_NAME.search(name):
        return True
    return name.endswith("_PORT") and _LINK_VALUE.match(value) is not None


def _mentions_secret(annotation: object) -> bool:
    if annotation in (SecretStr, SecretBytes):
        return True
    return any(_mentions_secret(argument) for argument in get_args(annotation))
