"""The testbed's commands. Each imports what it needs when it runs: help must not need extras."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click

from ingress_testbed.simulator.habits import BadHabit, Habits, explained, read_habits


def _speed(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Read how many recorded seconds pass in one: a positive number, or max, which is infinity."""
    try:
        speed = float("inf") if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise click.BadParameter(f"{text!r} must be a positive number or max")
    return speed


def _optional_speed(
    context: click.Context, option: click.Parameter, text: str | None
) -> float | None:
    return None if text is None else _speed(context, option, text)


def _habits(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> Habits:
    try:
        return read_habits(texts)
    except BadHabit as error:
        raise click.BadParameter(str(error)) from error


@contextmanager
def _extra() -> Iterator[None]:
    """Say what to install where a package is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"this needs {error.name}: pip install 'telematics-ingress[testbed]', "
            "or in a checkout '.[testbed]'"
        ) from error


@click.group()
def fleet() -> None:
    """Make recordings of a fleet that does not exist."""


@fleet.command(
    epilog="Example:\n\n  ingress fleet record day.jsonl.gz --vehicles 50 --hours 24 --seed 7"
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--vehicles", default=20, show_default=True, type=click.IntRange(1, 100_000))
@click.option(
    "--hours", default=24.0, show_default=True, type=click.FloatRange(0, 24 * 366, min_open=True)
)
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal files.")
def record(file: Path, vehicles: int, hours: float, seed: int) -> None:
    """Write a seeded fleet's day to FILE (.jsonl or .jsonl.gz).

    Electric buses drive routes, are parked, and are charged in depots; their signals hang together.
    The day has the rates, repeats, silences and wake-up glitches of real recordings.
    """
    from ingress_testbed.fleet import FleetPlan  # noqa: PLC0415 — see the module's docstring
    from ingress_testbed.fleet_file import record_fleet  # noqa: PLC0415 — likewise

    frames = record_fleet(FleetPlan(vehicles, hours, seed), file)
    click.echo(f"{frames:,} frames of {vehicles} vehicles over {hours:g} hours in {file}")


@click.command(
    epilog="\b\nHabits:\n  "
    + "\n  ".join(explained())
    + """

An occasion is a chance for each frame (0.01; it has a point), the number of a frame of a key's
vehicles (500), or every so many and so often (500x3: 500, 1000 and 1500). What is sent again counts
on. For no-data and endless-greeting it is subscriptions of a key that count.

\b
Examples:
  ingress simulator --replay day.jsonl.gz --speed 60 --api-key secret
  ingress simulator --replay day.jsonl.gz --habit future=0.001 --habit half-open=5000
  ingress simulator --replay day.jsonl.gz --habit disconnect=1000x20 --sent sent.jsonl
"""
)
@click.option(
    "--replay",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The recording: .jsonl, .jsonl.gz or .csv.",
)
@click.option(
    "--speed",
    callback=_speed,
    default="1",
    show_default=True,
    metavar="N|max",
    help="1: as recorded; N: so many times faster; max: as fast as it is read.",
)
@click.option(
    "--rebase",
    type=click.Choice(["now"]),
    help="Move all times so that the first frame is now (the last one, if faster than recorded).",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 for every IPv4 interface, as in a container.",
)
@click.option("--port", default=0, show_default=True, help="0: a free one, printed on stdout.")
@click.option(
    "--auth-delay", default=0.2, show_default=True, help="Seconds from the echo to the first data."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=float("inf"),
    show_default="to the recording's end",
    help="End the recording so long after the first data, wherever it is then.",
)
@click.option(
    "--api-key",
    "api_keys",
    multiple=True,
    default=["simulated"],
    show_default=True,
    help="A key to accept; may be given several times. Each has a place of its own in the replay.",
)
@click.option(
    "--habit",
    "habits",
    multiple=True,
    callback=_habits,
    metavar="NAME=OCCASION",
    help="A bad habit; may be given several times. See below.",
)
@click.option(
    "--seed", default=1, show_default=True, help="Of the habits: equal seeds, equal mischief."
)
@click.option(
    "--sent",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every message that is sent to this file, as JSON lines with key and habits.",
)
def simulator(  # noqa: PLR0913, PLR0917 — a command has as many parameters as options
    replay: Path,
    speed: float,
    rebase: str | None,
    host: str,
    port: int,
    auth_delay: float,
    seconds: float,
    api_keys: tuple[str, ...],
    habits: Habits,
    seed: int,
    sent: Path | None,
) -> None:
    """Act as ViriCiti's live websocket with a recording.

    A client that reconnects goes on where its key stood; a second one beside it begins there too,
    and takes nothing away. With &resend=all or &resend=N in its URL a client gets everything, or
    the last N frames, again. GET /status tells how far each key is, and how often each habit was
    given in to.
    """
    with _extra():
        from ingress_testbed.simulator.command import run  # noqa: PLC0415 — see the module's docstring
        from ingress_testbed.simulator.server import Manner  # noqa: PLC0415 — likewise

    manner = Manner(speed, rebase == "now", auth_delay, seconds)
    run(replay, api_keys, port, manner, replace(habits, seed=seed), sent, host=host)


@click.command(
    epilog="""\b
Examples:
  ingress demo
  ingress demo --vehicles 200 --seconds 30
  ingress demo --transport http
  ingress demo --outage broker
  ingress demo --replay day.jsonl.gz --speed max --subscribers 2 --json
"""
)
@click.option(
    "--transport",
    type=click.Choice(["queue-first", "http", "kafka", "shadow"]),
    help="How the publishers send to core; queue-first, where a broker can be had. For all but http "
    "a broker is started as well: Apache Kafka where it is installed or was fetched, else one in "
    "memory (INGRESS_TESTBED_KAFKA chooses).",
)
@click.option(
    "--outage",
    type=click.Choice(["hang", "broker", "none"]),
    default="hang",
    show_default=True,
    help="What happens to the broker in the middle of a queue-first run: it hangs, or it is killed, "
    "as far as it keeps what it has acknowledged.",
)
@click.option(
    "--vehicles",
    type=click.IntRange(1, 100_000),
    help="Size of the fleet that is made up for the occasion; 20 by default.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="End the replay after so long; what was sent until then must settle and match.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Replay this recording (.jsonl, .jsonl.gz or .csv) instead of a made-up fleet.",
)
@click.option(
    "--speed",
    callback=_optional_speed,
    metavar="N|max",
    help="1: as recorded (the default of --replay); N: so many times faster; max.",
)
@click.option(
    "--rebase",
    type=click.Choice(["now"]),
    help="Move the times of --replay so that it happens now; a made-up fleet always does.",
)
@click.option(
    "--subscribers",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Publishers that each get, journal and send every frame.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="The report as one object, the last line on stdout."
)
@click.option(
    "--export-svg",
    "svg",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write a picture of the live view and the report.",
)
@click.option(
    "--scrape-file",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write to this file where the processes serve metrics, for a Prometheus that follows it "
    "(file_sd_configs).",
)
def demo(  # noqa: PLR0913, PLR0917 — a command has as many parameters as options
    transport: Literal["queue-first", "http", "kafka", "shadow"] | None,
    outage: Literal["hang", "broker", "none"],
    vehicles: int | None,
    seconds: float | None,
    replay: Path | None,
    speed: float | None,
    rebase: str | None,
    subscribers: int,
    as_json: bool,
    svg: Path | None,
    scrape_file: Path | None,
) -> None:
    """Run the whole system on this machine and watch a fleet go through it.

    Starts Postgres, a broker, a simulated provider, core and a publisher as processes of their own,
    on free ports and in a temporary directory. In the middle the broker fails, and traffic goes over
    HTTP until it is back. Ends with exit code 0 only if every message is accounted for and core
    serves exactly what the input leads to. On a terminal it stays up after that, until
    Ctrl-C, unless --seconds or --json is given.
    """
    with _extra():
        from ingress_testbed.demo import session  # noqa: PLC0415 — see the module's docstring
        from ingress_testbed.recordings import RecordingError  # noqa: PLC0415 — likewise

    if replay is not None and vehicles is not None:
        raise click.UsageError("--replay brings its own vehicles: leave --vehicles away.")
    try:
        source = session.source(replay, vehicles, speed, seconds, rebased=rebase == "now")
    except RecordingError as error:
        raise click.BadParameter(error.message, param_hint="--replay") from error
    options = session.Options(
        transport=transport,
        outage=outage,
        source=source,
        seconds=seconds,
        subscribers=subscribers,
        as_json=as_json,
        svg=svg,
        scrape_file=scrape_file,
    )
    raise SystemExit(session.run(options))
