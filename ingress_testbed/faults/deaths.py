"""How processes die in a trial of crashes, drawn from a seed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from ingress_runtime.faults import Point
from ingress_testbed.faults.design import API, CONSUMER, PUBLISHER

_TRANSACTION = tuple(point for point in Point if point.startswith("core.transaction."))
POINTS: Mapping[str, Sequence[Point]] = {
    API: (*_TRANSACTION, Point.ANSWER_READY),
    CONSUMER: (*_TRANSACTION, Point.OFFSETS_UNCOMMITTED),
    PUBLISHER: tuple(point for point in Point if point.startswith("publisher.")),
}
"""Where each process can be told to die."""

_LAST_PASSAGE = {API: 4, CONSUMER: 4, PUBLISHER: 40}
_LONGEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AtPoint:
    """The process kills itself when it passes `point` for the `passage`th time."""

    point: Point
    passage: int


@dataclass(frozen=True, slots=True)
class AtMoment:
    """The process is killed `seconds` after it has come up, wherever it is then."""

    seconds: float


Death: TypeAlias = AtPoint | AtMoment


def deaths(
    seed: int, *, rounds: int, moments: int, core: str = API
) -> Mapping[str, Sequence[Death]]:
    """Return the deaths of `core` (the API, or a consumer) and of the publisher, in their order.

    Each dies `rounds` times at each of its points, and `moments` times at some moment.
    """
    dice = Random(seed)
    drawn: dict[str, Sequence[Death]] = {}
    for name in (core, PUBLISHER):
        ends: list[Death] = [
            AtPoint(point, dice.randint(1, _LAST_PASSAGE[name]))
            for point in POINTS[name]
            for _ in range(rounds)
        ]
        ends += [AtMoment(dice.uniform(0, _LONGEST_SECONDS)) for _ in range(moments)]
        dice.shuffle(ends)
        drawn[name] = ends
    return drawn
