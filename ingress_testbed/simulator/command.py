"""`ingress simulator`: serve a recording until a signal ends it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from ingress_runtime import logs, shutdown
from ingress_runtime.settings import LogSettings, load
from ingress_testbed.recordings import Recording, open_recording
from ingress_testbed.simulator.server import Manner, Simulator


def run(replay: Path, keys: Sequence[str], port: int, manner: Manner) -> None:
    """Serve `replay` on `port` (0: a free one); the first line on stdout is the socket's address.

    `keys` are the secrets; in logs and in the status they are `key-1`, `key-2`, and so on.
    """
    (settings,) = load(LogSettings)
    logs.configure(settings)
    recording = open_recording(replay)
    names = {f"key-{number}": secret for number, secret in enumerate(keys, start=1)}
    asyncio.run(_serve(recording, names, port, manner))


async def _serve(recording: Recording, keys: dict[str, str], port: int, manner: Manner) -> None:
    simulator = Simulator(recording, keys=keys, manner=manner)
    try:
        async with shutdown.on_signals() as stop, simulator.serving(port):
            click.echo(simulator.url)
            await stop.wait()
    except OSError as error:
        raise click.ClickException(
            f"port {port} cannot be had ({error.strerror or error}): "
            "choose another one, or 0 for any free one"
        ) from error
