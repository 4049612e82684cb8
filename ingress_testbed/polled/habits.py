"""Bad habits of providers that are polled: which, of whom, and on which of their requests. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from ingress_testbed.polled.vehicles import Provider
from ingress_testbed.simulator.habits import BadHabit, Occasion, read_occasion


class Habit(StrEnum):
    """A bad habit; EXPLANATIONS tells what each one is."""

    HTML = "html"
    TRUNCATED = "truncated"
    UNAVAILABLE = "unavailable"
    OVER_LIMIT = "over-limit"
    UNAUTHORIZED = "unauthorized"
    HUGE = "huge"
    CLOCK = "clock"
    REPEAT = "repeat"
    CURSOR_BACK = "cursor-back"
    RESTART = "restart"
    EMPTY_CURSOR = "empty-cursor"
    NO_WRAPPER = "no-wrapper"
    MISSING_FIELDS = "missing-fields"
    SPLIT_SECOND = "split-second"


EXPLANATIONS: Mapping[Habit, str] = {
    Habit.HTML: "the answer is a page for people, with status 200",
    Habit.TRUNCATED: "the answer's JSON ends in the middle",
    Habit.UNAVAILABLE: "the answer is 503, in plain text",
    Habit.OVER_LIMIT: "the answer is 429, though no limit was reached",
    Habit.UNAUTHORIZED: "the answer is 401; of Geotab InvalidUserException: all sessions have expired",
    Habit.HUGE: "the answer's body is 200 MB, and never becomes JSON",
    Habit.CLOCK: "all times in the answer are an hour ahead",
    Habit.REPEAT: "from the next page with records on, that page is the answer, and more is promised",
    Habit.CURSOR_BACK: "the answer's cursor is an earlier one than the request's",
    Habit.RESTART: "the page begins with up to 50 records of before the version asked for",
    Habit.EMPTY_CURSOR: "the last page's endCursor is empty",
    Habit.NO_WRAPPER: "vehicleStatuses stand where vehicleStatusResponse should be",
    Habit.MISSING_FIELDS: "of each status some fields are missing, but never vin and times",
    Habit.SPLIT_SECOND: "the page ends within a second, so that only lastVin leads on",
}

_FEEDS = frozenset((Provider.GEOTAB, Provider.SAMSARA, Provider.RFMS))
_ONLY: Mapping[Habit, frozenset[Provider]] = {
    Habit.REPEAT: _FEEDS,
    Habit.CURSOR_BACK: _FEEDS,
    Habit.RESTART: frozenset((Provider.GEOTAB,)),
    Habit.EMPTY_CURSOR: frozenset((Provider.SAMSARA,)),
    Habit.NO_WRAPPER: frozenset((Provider.RFMS,)),
    Habit.MISSING_FIELDS: frozenset((Provider.RFMS,)),
    Habit.SPLIT_SECOND: frozenset((Provider.RFMS,)),
}


def providers_with(habit: Habit) -> frozenset[Provider]:
    """Return who can have the habit."""
    return _ONLY.get(habit, frozenset(Provider))


@dataclass(slots=True)
class Mood:
    """Which habits a provider has in one answer, with `dice` for whatever else is to be chosen."""

    habits: frozenset[Habit]
    dice: Random
    given: list[Habit] = field(default_factory=list)

    def gives_in(self, habit: Habit, *, where: bool = True) -> bool:
        """Return whether it is given in to; `where`: whether it makes any difference here."""
        if habit not in self.habits or not where:
            return False
        self.given.append(habit)
        return True


@dataclass(slots=True)
class Conduct:
    """One provider's habits. All its requests count, logging in too; equal seeds, equal mischief."""

    provider: Provider
    occasions: Mapping[Habit, Occasion] = field(default_factory=dict)
    seed: int = 1
    requests: int = 0
    injected: Counter[Habit] = field(default_factory=Counter)

    def mood(self) -> Mood:
        """Count a request, and return the mood for its answer."""
        self.requests += 1
        dice = Random(f"{self.seed}:{self.provider}:{self.requests}")
        habits = frozenset(
            habit
            for habit, occasion in self.occasions.items()
            if occasion.comes(self.requests, dice)
        )
        return Mood(habits, dice)


def read_conduct(texts: Iterable[str], seed: int = 1) -> dict[Provider, Conduct]:
    """Read `[PROVIDER.]NAME=OCCASION` texts. Raises BadHabit.

    Without a provider everybody has the habit who can. For occasions see
    ingress_testbed.simulator.habits.
    """
    found: dict[Provider, dict[Habit, Occasion]] = {provider: {} for provider in Provider}
    for text in texts:
        whose, habit, occasion = _read(text)
        for provider in sorted(whose):
            if habit in found[provider]:
                raise BadHabit(f"{habit} of {provider} is given twice: one occasion a habit")
            found[provider][habit] = occasion
    return {
        provider: Conduct(provider, {habit: his[habit] for habit in Habit if habit in his}, seed)
        for provider, his in found.items()
    }


def _read(text: str) -> tuple[frozenset[Provider], Habit, Occasion]:
    name, _, occasion = text.partition("=")
    whose, dot, habit_name = name.rpartition(".")
    if habit_name not in Habit.__members__.values():
        raise BadHabit(f"there is no habit {habit_name!r}: choose one of {', '.join(Habit)}")
    habit = Habit(habit_name)
    having = providers_with(habit)
    if not dot:
        return having, habit, read_occasion(name, occasion)
    if whose not in having:
        raise BadHabit(f"{whose!r} cannot have the habit {habit}: {', '.join(sorted(having))} can")
    return frozenset((Provider(whose),)), habit, read_occasion(name, occasion)


def explained() -> Iterator[str]:
    """Yield a line for each habit, for people."""
    width = max(map(len, Habit))
    for habit in Habit:
        yield f"{habit:<{width}}  {EXPLANATIONS[habit]}"
