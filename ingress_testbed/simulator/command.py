"""`ingress simulator`: serve a recording until a signal ends it.

SIGUSR1 ends the recording where it is, and nothing else.
"""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ingress_runtime import logs, shutdown
from ingress_runtime.settings import LogSettings, load
from ingress_testbed.recordings import open_recording
from ingress_testbed.simulator.habits import Habits
from ingress_testbed.simulator.sent import SentLog, SentTo
from ingress_testbed.simulator.server import Manner, Simulator


def run(  # noqa: PLR0913, PLR0917 — the options of the command
    replay: Path,
    keys: Sequence[str],
    port: int,
    manner: Manner,
    habits: Habits,
    sent_file: Path | None,
    *,
    host: str,
) -> None:
    """Serve `replay` on `host` at `port` (0: a free one); the first line on stdout is the address.

    `keys` are the secrets; in logs and in the status they are `key-1`, `key-2`, and so on. All
    messages but echoes go to `sent_file` too, see SentLog.
    """
    (settings,) = load(LogSettings)
    logs.configure(settings)
    names = {f"key-{number}": secret for number, secret in enumerate(keys, start=1)}
    recording = open_recording(replay)
    with _noted(sent_file) as sent_to:
        simulator = Simulator(recording, keys=names, manner=manner, habits=habits, sent_to=sent_to)
        asyncio.run(_serve(simulator, host, port))


@contextmanager
def _noted(path: Path | None) -> Iterator[SentTo | None]:
    if path is None:
        yield None
        return
    try:
        log = SentLog(path)
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written ({error.strerror or error}): name another file for --sent"
        ) from error
    with log:
        yield log.write


async def _serve(simulator: Simulator, host: str, port: int) -> None:
    try:
        async with shutdown.on_signals() as stop, simulator.serving(port, host):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, simulator.end_recording)
            click.echo(simulator.url)
            await stop.wait()
    except OSError as error:
        raise click.ClickException(
            f"port {port} of {host} cannot be had ({error.strerror or error}): "
            "choose another one, or 0 for any free one; --host takes an address of this machine"
        ) from error
