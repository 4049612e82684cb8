"""Labels of metrics whose values come from outside: bounded, so that no stranger makes series."""

OTHER = "other"
"""Stands for every value beyond the bound."""


class Bounded:
    """The first `most` different values stand for themselves; all that come later are `other`.

    For words that code chooses, but code of others too: a plugin's reasons.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return the label for `value`."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value
