"""The `ingress` command. Rooms add subcommands by entry points of the group `ingress.commands`.

A subcommand is imported when it is asked for, so the publisher never pays for core's dependencies
and works without them. One whose extra is missing is listed all the same, with what to install.
"""

from importlib.metadata import EntryPoint, entry_points

import click

GROUP = "ingress.commands"

EXTRAS = {
    "core_api": "api",
    "core_consumer": "consumer",
    "core_events": "events",
    "core_ingest": "core",
    "core_poller": "poller",
    "ingress_runtime": "kafka",  # the one part of it that needs more than the base
    "ingress_testbed": "testbed",
    "telematics_publisher": "publisher",
}
"""The extra that brings a room's dependencies, by the room's package."""


class Commands(click.Group):
    """A group whose commands are entry points, loaded one by one when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's signature
        """Return the names of all commands, sorted, without loading any."""
        return sorted(entry_points(group=GROUP).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 — click's signature
        """Load one command, or a stand-in that says what to install, or None if there is none."""
        found = entry_points(group=GROUP, name=cmd_name)
        return _load(next(iter(found))) if found else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="telematics-ingress", message="%(prog)s %(version)s")
def main() -> None:
    """Vehicle telemetry from providers into one idempotent handler.

    \b
    Examples:
      ingress demo                   the whole system on this machine, with a live view
      ingress migrate                prepare the database that INGRESS_DATABASE_URL names
      ingress api                    core: the HTTP door and the read API
      ingress topics create          the Kafka topic, where envelopes travel by Kafka
      ingress publisher check        try the edge's streams, keys and journals before it runs
      ingress publisher run --help   the edge: from provider websockets to core
      ingress status --watch         where messages wait, and why
      ingress dead-letters list      what could not become facts, and why
      ingress doctor                 what is wrong with this machine, and what to do

    Settings are environment variables: see docs/settings.md.
    """  # noqa: D301 — click reads the escape


def _load(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        return _stand_in(entry, error)
    if not isinstance(command, click.Command):
        raise TypeError(
            f"entry point {entry.name} of {GROUP} names no click command: {entry.value}"
        )
    return command


def _stand_in(entry: EntryPoint, error: ModuleNotFoundError) -> click.Command:
    room = entry.module.partition(".")[0]
    missing = (error.name or str(error)).partition(".")[0]
    if missing in EXTRAS:  # our own module: an incomplete installation, which no extra mends
        remedy = f"reinstall telematics-ingress: {error}"
    elif room in EXTRAS:
        extra = EXTRAS[room]
        remedy = f"pip install 'telematics-ingress[{extra}]', or in a checkout '.[{extra}]'"
    else:
        remedy = f"install {missing}, which {entry.module} needs"

    @click.command(
        entry.name,
        short_help=f"(not installed) {remedy}",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def stand_in(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 — whatever is typed, the answer is the same
        raise click.UsageError(f"`ingress {entry.name}` needs {missing}. To use it: {remedy}")

    return stand_in
