"""Seeded chance that is the same on every machine and Python: `Random.random`, and no more."""

from random import Random


class Dice:
    """Draws from one sequence. Equal seeds give equal draws."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed).random

    def between(self, low: float, high: float) -> float:
        """Return a number from `low` up to, not including, `high`."""
        return low + (high - low) * self._random()

    def below(self, number: int) -> int:
        """Return a whole number from 0 up to, not including, `number`."""
        return int(self._random() * number)

    def happens(self, chance: float) -> bool:
        """Return True with the probability `chance`."""
        return self._random() < chance
