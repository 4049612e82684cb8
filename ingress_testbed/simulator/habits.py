"""Bad habits: what a provider does that it should not, and on which occasions. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from random import Random

_TIMES = re.compile(r"([1-9]\d{0,11})(?:x([1-9]\d{0,11}))?")
_CHANCE = re.compile(r"\d?\.\d+|[01]\.")


class Habit(StrEnum):
    """A bad habit; EXPLANATIONS tells what each one is."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DISORDER = "disorder"
    FUTURE = "future"
    PAST = "past"
    CUT = "cut"
    FRAGMENTED = "fragmented"
    NOT_JSON = "not-json"
    OVERSIZED = "oversized"
    HUGE = "huge"
    UNKNOWN_LABEL = "unknown-label"
    GLITCH = "glitch"
    ERROR = "error"
    ACL = "acl"
    HALF_OPEN = "half-open"
    DISCONNECT = "disconnect"
    REVOKE = "revoke"
    NO_DATA = "no-data"
    ENDLESS_GREETING = "endless-greeting"


EXPLANATIONS: Mapping[Habit, str] = {
    Habit.DROP: "the frame is never sent",
    Habit.DUPLICATE: "the frame is sent twice",
    Habit.DISORDER: "the frame is sent behind up to ten later ones",
    Habit.FUTURE: "the frame is stamped 2090",
    Habit.PAST: "the frame is stamped 1970",
    Habit.CUT: "the frame's text ends too early",
    Habit.FRAGMENTED: "the frame comes in fragments, with a ping in between",
    Habit.NOT_JSON: "a message follows that is no JSON",
    Habit.OVERSIZED: "a frame follows that is larger than the contract carries",
    Habit.HUGE: "a frame follows that is above 16 MiB; all waits until the client has dealt with it",
    Habit.UNKNOWN_LABEL: "a datapoint follows whose label nobody knows",
    Habit.GLITCH: "the voltage follows as 664.8, 0 and 661.2, as on waking",
    Habit.ERROR: "an error frame follows",
    Habit.ACL: "an acl frame follows",
    Habit.HALF_OPEN: "then the socket stays open, deaf and silent: no data, no pong, no close",
    Habit.DISCONNECT: "then the connection is reset, without a closing handshake",
    Habit.REVOKE: "then the key is revoked: its sockets are closed, and it gets 401 from now on",
    Habit.NO_DATA: "the subscription is echoed, and no data follow",
    Habit.ENDLESS_GREETING: "the subscription is echoed, and acl frames follow without end",
}

ENDINGS = frozenset((Habit.HALF_OPEN, Habit.DISCONNECT, Habit.REVOKE))
"""After these a connection gets nothing more."""

GREETINGS = frozenset((Habit.NO_DATA, Habit.ENDLESS_GREETING))
"""These are counted by subscriptions, all others by frames."""


class BadHabit(ValueError):
    """A habit that does not exist, or an occasion that makes no sense; the message says which."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """When something happens: by chance, or every so many times, and so often in all."""

    chance: float = 0.0
    every: int = 0
    times: int = 1

    def comes(self, number: int, dice: Random) -> bool:
        """Return whether it is on `number`, which counts from 1. Only a chance uses `dice`."""
        if self.every:
            return number % self.every == 0 and number <= self.every * self.times
        return dice.random() < self.chance


@dataclass(frozen=True, slots=True)
class Habits:
    """Which habits on which occasions. Equal seeds make equal mischief of equal frames."""

    occasions: Mapping[Habit, Occasion] = field(default_factory=dict)
    seed: int = 1

    def __contains__(self, habit: Habit) -> bool:
        return habit in self.occasions

    def on(self, number: int, source: str, *, greeting: bool = False) -> tuple[list[Habit], Random]:
        """Return the habits whose occasion is the frame, or subscription, `number` of `source`.

        With them come dice for whatever else is to be chosen. All of it is a function of seed,
        source and number: what is taken up again after a disconnect suffers the same.
        """
        dice = Random(f"{self.seed}:{source}:{greeting}:{number}")
        return [
            habit
            for habit, occasion in self.occasions.items()
            if (habit in GREETINGS) == greeting and occasion.comes(number, dice)
        ], dice


GOOD = Habits()
"""None at all."""


def read_habits(texts: Iterable[str], seed: int = 1) -> Habits:
    """Read `NAME=OCCASION` texts. Raises BadHabit.

    An occasion is a chance for each frame (`0.01`: it has a point), the number of a frame (`500`),
    or every so many, and so often (`500x3`: 500, 1000 and 1500).
    """
    occasions: dict[Habit, Occasion] = {}
    for text in texts:
        name, _, occasion = text.partition("=")
        if name not in Habit.__members__.values():
            raise BadHabit(f"there is no habit {name!r}: choose one of {', '.join(Habit)}")
        if name in occasions:
            raise BadHabit(f"{name} is given twice: one occasion a habit")
        occasions[Habit(name)] = read_occasion(name, occasion)
    return Habits({habit: occasions[habit] for habit in Habit if habit in occasions}, seed)


def read_occasion(name: str, text: str) -> Occasion:
    """Read the occasion of the habit `name`; see read_habits. Raises BadHabit."""
    if (found := _TIMES.fullmatch(text)) is not None:
        return Occasion(every=int(found[1]), times=int(found[2] or 1))
    if _CHANCE.fullmatch(text) is not None and 0 < float(text) <= 1:
        return Occasion(chance=float(text))
    raise BadHabit(
        f"{name}={text} is no occasion: give a chance such as 0.01 (above 0, up to 1.0), "
        "the number of a frame such as 500, or every so many and so often, such as 500x3"
    )


def explained() -> Iterator[str]:
    """Yield a line for each habit, for people."""
    width = max(map(len, Habit))
    for habit in Habit:
        yield f"{habit:<{width}}  {EXPLANATIONS[habit]}"


def source_name(key: str, vehicles: Iterable[str]) -> str:
    """Return a short name for what one key hears of a set of vehicles."""
    digest = blake2b("\n".join(sorted(vehicles)).encode(), digest_size=8).hexdigest()
    return f"{key}:{digest}"
