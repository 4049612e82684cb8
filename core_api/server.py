"""uvicorn within our own process: our signals, our socket, our goodbye."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from core_api.connection import Limits, connection_class
from core_api.services import Services
from core_api.settings import ApiSettings
from ingress_runtime import collector, shutdown

log = structlog.get_logger()

_BACKLOG = 2_048
_KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections, so that they close first


class Server(uvicorn.Server):
    """uvicorn without its signal handlers; `listening` is called once requests are taken."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        self._listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `ingress_runtime.shutdown`."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


async def serve(
    app: FastAPI, settings: ApiSettings, listener: socket.socket, port_file: Path | None = None
) -> None:
    """Serve `app` on `listener` until a signal asks to stop.

    Then: /readyz turns 503 for `drain_seconds`, the port closes, accepted requests finish within
    `grace_seconds`, and what was taken for commit is committed. Raises what opening the services
    raises.
    """

    def announce() -> None:
        collector.spare_batches()
        host, port = listener.getsockname()[:2]
        if port_file is not None:
            _write_port(port_file, port)
        log.info("api_listening", host=host, port=port)

    config = uvicorn.Config(
        app,
        http=connection_class(_limits(settings)),
        ws="none",
        lifespan="off",  # opened here, so that what fails is raised as it is
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    async with shutdown.on_signals() as stop, app.router.lifespan_context(app):
        server = Server(config, announce)
        serving = asyncio.create_task(server.serve([listener]))
        asking = asyncio.create_task(stop.wait())
        await asyncio.wait((serving, asking), return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        await _say_goodbye(app.state.services, settings.drain_seconds)
        server.should_exit = True
        await serving
    log.info("api_stopped")


def _limits(settings: ApiSettings) -> Limits:
    return Limits(
        head_bytes=settings.max_head_bytes,
        head_seconds=settings.head_seconds,
        connections=settings.max_connections,
    )


async def _say_goodbye(services: Services, seconds: float) -> None:
    services.readiness.closing = True
    await asyncio.sleep(seconds)


def _write_port(path: Path, port: int) -> None:
    """Write the port whole or not at all: a supervisor may be looking."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(f"{port}\n", encoding="ascii")
    draft.replace(path)
