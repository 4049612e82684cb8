"""Does a text look like a key of core? Told before it is sent anywhere, and without showing it."""

import re

_KEY = re.compile(r"ik_(?P<id>[0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_INSIDE = re.compile(r"(?<![A-Za-z0-9_-])" + _KEY.pattern + r"(?![A-Za-z0-9_-])")
_LENGTH = len("ik_") + 16 + 1 + 43


def id_of(text: str) -> str | None:
    """Return a key's id, which is no secret; None where `text` is no key."""
    match = _KEY.fullmatch(text)
    return match and match["id"]


def flaw(text: str) -> str | None:
    """Return what is wrong with the form of `text`, None if nothing is."""
    if _KEY.fullmatch(text):
        return None
    if _INSIDE.search(text):
        before = text[: text.index("ik_")].strip()
        if before:
            return "there is more than the key: it begins with `ik_`, leave away what is before it"
        return "there is more than the key: leave away what is behind it"
    flaws = (
        (any(one.isspace() for one in text), "there are spaces in it: no key has any"),
        (not text.startswith("ik_"), "it does not begin with `ik_`, as every key of core does"),
        (
            len(text) < _LENGTH,
            f"it has {len(text)} of a key's {_LENGTH} characters: a part is missing",
        ),
        (len(text) > _LENGTH, f"it has {len(text)} characters, and a key has {_LENGTH}"),
    )
    return next((said for is_it, said in flaws if is_it), "no key has such characters in it")
