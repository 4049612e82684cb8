"""`ingress load`. What needs an extra is imported when it runs: help must not."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from pydantic import TypeAdapter, ValidationError

from ingress_contracts.fields import Name
from ingress_runtime import redact
from ingress_runtime.kafka.settings import Bootstrap
from ingress_testbed.load.options import fleets, ramp

T = TypeVar("T")

_MOST_SENDERS = 16
"""Core takes so many requests of one key at once (CORE_API_REQUESTS_PER_KEY)."""


def _read(read: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Make a callback that turns ValueError into a complaint about the option."""

    def callback(_context: click.Context, _option: click.Parameter, text: str | None) -> T | None:
        if text is None:
            return None
        try:
            return read(text)
        except ValidationError as error:
            raise click.BadParameter(f"{text!r}: {error.errors()[0]['msg']}") from error
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
        raise ValueError("must be core's address, such as http://127.0.0.1:8080")
    return text.rstrip("/")


def _address(text: str) -> str:
    try:
        return TypeAdapter(Bootstrap).validate_python(text)
    except ValidationError:
        raise ValueError(
            f"{text!r} must be host:port[,host:port], such as 127.0.0.1:9092"
        ) from None


def _svg(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".svg":
        raise ValueError(f"{text!r} must end in .svg, which browsers show and tools convert")
    if not path.resolve().parent.is_dir():
        raise ValueError(f"{path.resolve().parent} is not there: make that directory first")
    return path


_NAME: TypeAdapter[str] = TypeAdapter(Name)


@click.command(
    epilog="""\b
Examples:
  ingress load --target http://127.0.0.1:8080 --api-key-env LOAD_KEY --vehicles 500
  ingress load --target http://127.0.0.1:8080 --api-key-file key --read-key-env READ_KEY \\
      --ramp 500:5000:500 --duration 20 --plot http.svg
  ingress load --kafka 127.0.0.1:9092 --database-url-env INGRESS_DATABASE_URL \\
      --vehicles 1000,2000,4000 --json
"""
)
@click.option(
    "--target",
    callback=_read(_url),
    metavar="URL",
    help="Send over HTTP, to the core at this address.",
)
@click.option(
    "--kafka",
    callback=_read(_address),
    metavar="ADDRESS",
    help="Send over Kafka, to these brokers (host:port[,host:port]). The topic, TLS and SASL are "
    "those of INGRESS_KAFKA_*.",
)
@click.option(
    "--vehicles",
    callback=_read(fleets),
    metavar="N[,N...]",
    help="Size of the fleet; a rising list makes a step of each. 100 by default.",
)
@click.option(
    "--ramp",
    callback=_read(ramp),
    metavar="FROM:TO:STEP",
    help="Fleets of growing size, until the installation is saturated.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.01, 3_600),
    default=1.0,
    show_default=True,
    help="Seconds between two reports of a vehicle.",
)
@click.option(
    "--duration",
    type=click.FloatRange(0.1, 86_400),
    default=30.0,
    show_default=True,
    help="Seconds of each step.",
)
@click.option("--api-key-env", metavar="NAME", help="The variable that holds the ingest key.")
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The file that holds the ingest key.",
)
@click.option(
    "--workspace",
    callback=_read(_NAME.validate_python),
    default="load",
    show_default=True,
    help="Where the messages go; best one for nothing else. Over HTTP it is the key's.",
)
@click.option(
    "--publisher",
    callback=_read(_NAME.validate_python),
    default="load",
    show_default=True,
    help="Who sends; never a real publisher's id. Over HTTP it is the key's.",
)
@click.option(
    "--read-key-env",
    metavar="NAME",
    help="The variable that holds a read key: the report then says what core did with it all.",
)
@click.option(
    "--accounting-url",
    callback=_read(_url),
    metavar="URL",
    help="Core's API to ask with the read key; by default that of --target.",
)
@click.option(
    "--database-url-env",
    metavar="NAME",
    help="The variable that holds the URL of core's database, to ask that instead.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 5_000),
    default=500,
    show_default=True,
    help="Most messages sent at once, as a publisher does.",
)
@click.option(
    "--senders",
    type=click.IntRange(1, _MOST_SENDERS),
    default=4,
    show_default=True,
    help="Batches in flight.",
)
@click.option(
    "--queue",
    type=click.IntRange(1, 10_000_000),
    default=100_000,
    show_default=True,
    help="Most messages that wait; beyond it they count as not sent.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    help="Seconds that an attempt to send may take.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0.1, 3_600),
    default=30.0,
    show_default=True,
    help="Seconds that are waited after a step for what is not acknowledged, and for core.",
)
@click.option(
    "--max-p99",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Seconds of corrected p99 latency above which a step counts as saturated.",
)
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal schedules.")
@click.option(
    "--json", "as_json", is_flag=True, help="The report as one object, the last line on stdout."
)
@click.option(
    "--plot",
    callback=_read(_svg),
    metavar="FILE.svg",
    help="Draw achieved rate and latency against the intended rate.",
)
def load(  # noqa: PLR0913 — a command has as many parameters as options
    *,
    target: str | None,
    kafka: str | None,
    api_key_env: str | None,
    api_key_file: Path | None,
    read_key_env: str | None,
    accounting_url: str | None,
    database_url_env: str | None,
    **given: Any,
) -> None:
    """Send a chatty fleet to any installation, and say how much of it that takes.

    Each vehicle reports once every --interval seconds for --duration seconds, at times that are
    fixed beforehand: a slow answer delays no message, and counts for all that it holds up. A step
    is saturated once less than 95 % of the intended rate gets through, or its p99 latency is above
    --max-p99; the steps end there. Keys come from the environment or from files.

    Writes into the workspace that it is given. Ctrl-C ends it early, with a report. The exit code is
    0 where messages got through and core's account of them, if it was asked, is exact.
    """
    if (target is None) == (kafka is None):
        raise click.UsageError(
            "say where to: either --target URL for HTTP, or --kafka ADDRESS for Kafka"
        )
    if read_key_env and database_url_env:
        raise click.UsageError("--read-key-env and --database-url-env: one is enough")
    if read_key_env and not (accounting_url or target):
        raise click.UsageError("over Kafka, --read-key-env needs --accounting-url: core's address")
    try:
        from ingress_testbed.load import launch  # noqa: PLC0415 — see the module's docstring
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"this needs {error.name}: pip install 'telematics-ingress[testbed]', "
            "or in a checkout '.[testbed]'"
        ) from error
    way = launch.Way(
        target=target,
        key=_key(api_key_env, api_key_file) if target else None,
        kafka=kafka,
        accounting_url=accounting_url or target,
        read_key=_secret(read_key_env, "--read-key-env"),
        database_url=_secret(database_url_env, "--database-url-env"),
        deadline=given.pop("deadline"),
    )
    raise SystemExit(launch.run(way, launch.options(**given)))


def _key(variable: str | None, file: Path | None) -> str:
    if (variable is None) == (file is None):
        raise click.UsageError(
            "say where the ingest key is: --api-key-env NAME or --api-key-file FILE. Make one where "
            "core is: ingress keys create --role ingest --workspace load --publisher load"
        )
    if file is None:
        return _secret(variable, "--api-key-env") or ""
    key = file.read_text(encoding="utf-8", errors="replace").strip()
    if not key or not key.isprintable():
        raise click.BadParameter(f"{file} holds no key: one line of text", param_hint="--api-key-file")  # fmt: skip
    redact.remember(key)
    return key


def _secret(
    variable: str | None, option: str, environ: Mapping[str, str] = os.environ
) -> str | None:
    """Return what a variable holds, and hide it from now on; None where none is named."""
    if variable is None:
        return None
    value = environ.get(variable, "").strip()
    if not value or not value.isprintable():
        raise click.BadParameter(
            f"the variable {variable} is not set: export it", param_hint=option
        )
    redact.remember(value)
    return value
