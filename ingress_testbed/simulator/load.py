"""Frames gathered into loads, each written to a socket in one go. Pure."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ingress_testbed.recordings import Frame
from ingress_testbed.simulator.habits import Habit
from ingress_testbed.simulator.protocol import wire
from ingress_testbed.simulator.sent import Sent

MOST_FRAMES = 256


class Load(NamedTuple):
    """What goes out at once: bytes for the socket, made from the next `frames` of a cursor.

    They hold so many `messages`; `sent` names them where somebody wants to know. `injected` are
    the habits that were given in to, and `ending` is what happens to the connection afterwards.
    `settle`: nothing may follow before the client has dealt with it.
    """

    data: bytes
    frames: int
    messages: int
    sent: Sequence[Sent] = ()
    injected: Sequence[Habit] = ()
    ending: Habit | None = None
    settle: bool = False


class Packer(Protocol):
    """Gathers frames. `holding`: a frame waits for later ones; `full`: it waits no longer."""

    frames: int
    full: bool
    holding: bool

    def add(self, frame: Frame) -> None:
        """Take the next frame in."""

    def seal(self) -> Load:
        """Return what has gathered, and begin anew."""


class PlainPacker:
    """The packer of a provider without habits. See Packer."""

    def __init__(self) -> None:
        self.frames = 0
        self.full = False
        self.holding = False
        self._wires: list[bytes] = []

    def add(self, frame: Frame) -> None:
        """Take the next frame in."""
        self._wires.append(wire(frame))
        self.frames += 1
        self.full = self.frames == MOST_FRAMES

    def seal(self) -> Load:
        """Return what has gathered, and begin anew."""
        load = Load(b"".join(self._wires), self.frames, self.frames)
        self._wires.clear()
        self.frames, self.full = 0, False
        return load
