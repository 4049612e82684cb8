"""Peers: for each transport, the other side, played by a real server."""

import importlib.util
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import SecretStr

from ingress_contracts.envelope import Envelope
from telematics_publisher.transport import Transport
from telematics_publisher.transports.http import HttpTransport

_DOOR = Path(__file__).parents[2] / "integration" / "publisher" / "door.py"


class Peer(Protocol):
    """The other side of a transport, as the contract suite directs it."""

    transport: Transport

    @property
    def received(self) -> Sequence[Envelope]:
        """What is durable over there, in order of arrival."""
        ...

    def refuse(self, *indexes: int) -> None:
        """Refuse these envelopes of the next batch for themselves."""
        ...

    def refuse_batch(self) -> None:
        """Refuse the next batch for its size."""
        ...

    def forbid(self) -> None:
        """Refuse the credential from now on."""
        ...

    def overload(self) -> None:
        """Ask for patience, once."""
        ...

    def swallow_answer(self) -> None:
        """Take the next batch, but let its answer be lost."""
        ...

    def be_silent(self) -> None:
        """Answer nothing from now on."""
        ...

    async def leave(self) -> None:
        """Be unreachable from now on."""
        ...


class HttpPeer:
    def __init__(self, doors: Any, door: Any) -> None:
        self._doors = doors
        self._door = door
        self.transport: Transport = HttpTransport(door.url, SecretStr("key"), deadline=0.5)

    @property
    def received(self) -> Sequence[Envelope]:
        accepted: list[Envelope] = self._door.accepted
        return accepted

    def refuse(self, *indexes: int) -> None:
        self._door.script.append(lambda request: self._doors.accept(request, indexes))

    def refuse_batch(self) -> None:
        self._door.script.append(lambda _: self._doors.Reply(413))

    def forbid(self) -> None:
        self._door.reply = lambda _: self._doors.Reply(401)

    def overload(self) -> None:
        headers = {"retry-after": "1.5"}
        self._door.script.append(lambda _: self._doors.Reply(503, headers=headers))

    def swallow_answer(self) -> None:
        def swallow(request: Any) -> Any:
            self._door.accepted += request.envelopes
            return self._doors.Reply(None)

        self._door.script.append(swallow)

    def be_silent(self) -> None:
        self._door.reply = lambda _: self._doors.Reply(late=self._doors.asyncio.Event())

    async def leave(self) -> None:
        await self._door.stop()


@pytest.fixture(params=["http"])
async def peer(anyio_backend: str, request: pytest.FixtureRequest) -> AsyncIterator[Peer]:  # noqa: ARG001 — makes the fixture asynchronous
    """Each transport joins the suite with a peer of its own here."""
    assert request.param == "http"
    spec = importlib.util.spec_from_file_location("publisher_tests_door", _DOOR)
    assert spec is not None
    assert spec.loader is not None
    doors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(doors)
    door = doors.Door()
    await door.start()
    peer = HttpPeer(doors, door)
    yield peer
    await peer.transport.aclose()
    await door.stop()
