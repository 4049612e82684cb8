"""A real publisher between a provider's websocket, which says what it is told to, and core."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from websockets.sync.server import ServerConnection, serve

from core_api.keys import Role
from ingress_testbed.demo.installation import streams_toml
from tests.acceptance.processes import Core, Process


@contextmanager
def provider(*connections: Iterable[str | bytes]) -> Iterator[str]:
    """Serve ViriCiti's websocket: each connection sends its frames; the last one then stays open."""
    left = list(connections)

    def behave(socket: ServerConnection) -> None:
        socket.send(socket.recv())
        frames = left.pop(0) if left else []
        with suppress(Exception):  # a frame above the read limit is cut off in the middle
            for one in frames:
                socket.send(one)
            socket.recv()  # until the other side goes

    with serve(behave, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/api/v2/live"
        server.shutdown()
        thread.join()


def publisher(  # noqa: PLR0917 — what differs between tests, each by its name
    core: Core,
    workspace: str,
    url: str,
    directory: Path,
    before: str = "",
    settings: Mapping[str, str] | None = None,
) -> Process:
    streams = directory / "streams.toml"
    streams.write_text(streams_toml("edge-1", url, {"bus_1": ["soc"]}, workspace))
    environ = {
        "INGRESS_API_URL": core.api,
        "INGEST_KEY": core.key(Role.INGEST, workspace),
        "PROVIDER_KEY": "provider-key",
        "PUBLISHER_JOURNAL_DIR": str(directory / "journals"),
        "PUBLISHER_METRICS_PORT": "0",
        "PUBLISHER_CHECKPOINT_SECONDS": "0.2",
        "PUBLISHER_GRACE_SECONDS": "1",
        **(settings or {}),
    }
    return Process(environ, "publisher", "run", "--streams", str(streams), before=before)
