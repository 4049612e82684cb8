"""Epochs: a new UUIDv7 for each opening of a journal."""

import secrets
from uuid import UUID

_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62


def new_epoch(microseconds: int) -> UUID:
    """Return a UUIDv7 (RFC 9562, 5.7) of `microseconds` since 1970, the rest of it random."""
    milliseconds = (microseconds // 1_000) & ((1 << 48) - 1)
    random_a, random_b = secrets.randbits(12), secrets.randbits(62)
    return UUID(int=milliseconds << 80 | _VERSION | random_a << 64 | _VARIANT | random_b)
