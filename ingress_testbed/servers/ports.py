"""Free ports of this machine."""

import secrets
import socket
from contextlib import ExitStack

_LOWEST, _HIGHEST = 20_000, 32_000


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return `count` different ports of 127.0.0.1 that nobody listens on.

    They lie below those that the system gives to outgoing connections: a client that tries a port
    there again and again while its server is down may in the end be connected to itself, and the
    server cannot have its port back. Somebody else may still take one before you do.
    """
    ports: list[int] = []
    with ExitStack() as listeners:
        while len(ports) < count:
            port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
            try:
                listeners.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            ports.append(port)
    return ports
