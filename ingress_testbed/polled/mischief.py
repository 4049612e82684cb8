"""Habits that every provider can have: what becomes of a good answer. Pure."""

from dataclasses import replace
from typing import Protocol

from ingress_testbed.polled.exchange import Answer
from ingress_testbed.polled.habits import Habit, Mood

_PAGE = b"<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>"
_WAIT = 2_500


class Refusing(Protocol):
    """How a provider says no."""

    def unauthorized(self) -> Answer:
        """Refuse who asks."""

    def over_limit(self, wait: int) -> Answer:
        """Refuse for `wait` ms."""


def spoilt(  # noqa: PLR0911 — one for each habit
    good: Answer, provider: Refusing, mood: Mood, huge: int
) -> Answer:
    """Return what is sent instead of `good`; at most one of the habits has its way.

    Refusals stay what they are. `huge` is how many bytes the huge body has.
    """
    if not good.data:
        return good
    if mood.gives_in(Habit.UNAVAILABLE):
        return Answer(
            503, b"upstream connect error or disconnect/reset before headers", "text/plain"
        )
    if mood.gives_in(Habit.OVER_LIMIT):
        return provider.over_limit(_WAIT)
    if mood.gives_in(Habit.UNAUTHORIZED):
        return provider.unauthorized()
    if mood.gives_in(Habit.HTML):
        return Answer(200, _PAGE, "text/html")
    if mood.gives_in(Habit.HUGE):
        return replace(good, body=good.body[:1], filler=huge - 1)
    if mood.gives_in(Habit.TRUNCATED):
        return replace(good, body=good.body[: len(good.body) // 2])
    return good
