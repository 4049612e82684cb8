"""Habits at work: what becomes of a frame, and what is sent beside it. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from ingress_testbed.recordings import Frame
from ingress_testbed.simulator import oddities
from ingress_testbed.simulator.habits import ENDINGS, Habit, Habits
from ingress_testbed.simulator.load import MOST_FRAMES, Load
from ingress_testbed.simulator.protocol import error_message, fragments, message, whole
from ingress_testbed.simulator.sent import sent

_MOST_BYTES = 2**20
_LATEST = 10
_MOST_FRAGMENTS = 4
_OF_THE_FRAME = frozenset(
    (
        Habit.DUPLICATE,
        Habit.DISORDER,
        Habit.FUTURE,
        Habit.PAST,
        Habit.CUT,
        Habit.FRAGMENTED,
    )
)


class Message(NamedTuple):
    """What is sent, in how many fragments, how many frames late, and due to which habits."""

    data: bytes
    habits: tuple[Habit, ...] = ()
    fragments: int = 1
    late: int = 0


_BESIDE: Sequence[tuple[Habit, Callable[[Frame, Random], list[bytes]]]] = (
    (Habit.NOT_JSON, lambda _, dice: [oddities.not_json(dice)]),
    (Habit.OVERSIZED, lambda frame, _: [message(oddities.oversized(frame))]),
    (Habit.UNKNOWN_LABEL, lambda frame, dice: [message(oddities.unknown(frame, dice))]),
    (Habit.GLITCH, lambda frame, _: [message(one) for one in oddities.glitch(frame)]),
    (Habit.ERROR, lambda *_: [error_message("an internal error, try again later").encode()]),
    (Habit.ACL, lambda frame, _: [oddities.acl(frame.vid)]),
    (Habit.HUGE, lambda frame, _: [message(oddities.huge(frame))]),  # the last: see Load.settle
)


def messages(frame: Frame, habits: Sequence[Habit], dice: Random) -> Iterator[Message]:
    """Yield what is sent for `frame` when `habits` are given in to."""
    if Habit.DROP not in habits:
        yield from _of_the_frame(frame, [one for one in habits if one in _OF_THE_FRAME], dice)
    for habit, make in _BESIDE:
        if habit in habits:
            for data in make(frame, dice):
                yield Message(data, (habit,))


def _of_the_frame(frame: Frame, habits: Sequence[Habit], dice: Random) -> Iterator[Message]:
    if Habit.FUTURE in habits:
        frame = oddities.stamped_2090(frame)
    elif Habit.PAST in habits:
        frame = oddities.stamped_1970(frame)
    data = message(frame)
    if Habit.CUT in habits:
        data = oddities.cut(data, dice)
    late = dice.randrange(1, _LATEST + 1) if Habit.DISORDER in habits else 0
    count = dice.randrange(2, _MOST_FRAGMENTS + 1) if Habit.FRAGMENTED in habits else 1
    for _ in range(1 + (Habit.DUPLICATE in habits)):
        yield Message(data, tuple(habits), count, late)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A message and its place: that of the frame behind which it is sent."""

    place: int
    message: Message


class BadPacker:
    """The packer of a provider with habits; see Packer.

    `source` names what is heard (see source_name), `passed` is how many of its frames went out
    before.
    """

    def __init__(self, habits: Habits, key: str, source: str, passed: int) -> None:
        self.frames = 0
        self.full = False
        self.holding = False
        self._habits = habits
        self._key = key
        self._source = source
        self._passed = passed
        self._placed: list[_Placed] = []
        self._injected: list[Habit] = []
        self._bytes = 0
        self._last = 0
        self._ending: Habit | None = None
        self._settle = False

    def add(self, frame: Frame) -> None:
        """Take the next frame in."""
        given_in, dice = self._habits.on(self._passed + self.frames + 1, self._source)
        given_in = _compatible(given_in)
        self.frames += 1
        for one in messages(frame, given_in, dice):
            self._placed.append(_Placed(self.frames + one.late, one))
            self._bytes += len(one.data)
            self._last = max(self._last, self.frames + one.late)
        self._injected += given_in
        self._ending = next((one for one in given_in if one in ENDINGS), None)
        self._settle = Habit.HUGE in given_in
        self.holding = self._last > self.frames
        self.full = (
            self.frames >= MOST_FRAMES + _LATEST
            or (self.frames >= MOST_FRAMES and not self.holding)
            or self._bytes >= _MOST_BYTES
            or self._ending is not None
            or self._settle
        )

    def seal(self) -> Load:
        """Return what has gathered, each message behind the frames that it was to wait for."""
        ordered = [one.message for one in sorted(self._placed, key=lambda one: one.place)]
        load = Load(
            b"".join(map(_on_the_wire, ordered)),
            self.frames,
            len(ordered),
            [sent(self._key, one.habits, one.data) for one in ordered],
            self._injected,
            self._ending,
            self._settle,
        )
        self._passed += self.frames
        self.frames, self.full, self.holding = 0, False, False
        self._placed, self._injected = [], []
        self._bytes, self._last, self._ending, self._settle = 0, 0, None, False
        return load


def _compatible(habits: list[Habit]) -> list[Habit]:
    """Leave out what cannot happen: to a frame that is dropped, or to a stamp that has changed."""
    if Habit.DROP in habits:
        return [one for one in habits if one not in _OF_THE_FRAME]
    if Habit.FUTURE in habits:
        return [one for one in habits if one is not Habit.PAST]
    return habits


def _on_the_wire(one: Message) -> bytes:
    return whole(one.data) if one.fragments == 1 else fragments(one.data, one.fragments)
