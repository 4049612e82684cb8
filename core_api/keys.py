"""API keys: `ik_<id>_<secret>`, of which the database holds the id and a digest of the secret.

The secret has 256 random bits, so one SHA-256 is enough: there is nothing to guess at that a slow
hash would protect. A key is found by its id and compared in constant time.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core_api.recent import Recent
from core_ingest.errors import StoreUnavailable

_FORMAT = re.compile(r"ik_(?P<id>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{43})")
_ID = re.compile(r"(?:ik_)?(?P<id>[0-9a-f]{16})(?:_.*)?", re.DOTALL)
_ID_BYTES = 8
_SECRET_BYTES = 32


class Role(StrEnum):
    """What a key may do: write as one publisher, read one workspace, or look after them."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the database knows it. Without a workspace, which admins may be, it is for all.

    `ended` is when it was revoked (then `revoked` is true) or expired, None while it is valid;
    `expires` is when it will end or has ended, where that is known.
    """

    id: str
    role: Role
    workspace: str | None
    publisher: str | None
    digest: bytes
    ended: datetime | None = None
    revoked: bool = False
    expires: datetime | None = None

    def covers(self, workspace: str) -> bool:
        """Return whether the key is for `workspace`."""
        return self.workspace is None or self.workspace == workspace


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` is what the client sends; it is shown once and stored nowhere.

    `founds` tells whether its workspace came to be with it.
    """

    id: str
    text: str
    digest: bytes
    founds: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """What was a key until `at`: the client has its secret, so it may know when and how it ended."""

    at: datetime
    revoked: bool


def generate() -> NewKey:
    """Return a new key from the operating system's randomness."""
    id_ = secrets.token_hex(_ID_BYTES)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return NewKey(id_, f"ik_{id_}_{secret}", digest(secret))


def digest(secret: str) -> bytes:
    """Return the SHA-256 of a secret, which is what the database holds."""
    return hashlib.sha256(secret.encode()).digest()


def id_of(text: str) -> str | None:
    """Return the id of a key from its id or from the whole key, None where `text` is neither."""
    match = _ID.fullmatch(text)
    return match and match["id"]


class Keyring:
    """Tells whose key a text is; remembers what it looked up for `seconds`.

    So a key's end works within `seconds`. Ids that nobody has are remembered too, but apart and
    few: a flood of made-up ids neither grows the memory nor pushes real keys out. Look-ups run one
    at a time, so such a flood takes one connection at most; who waits for its turn and its answer
    for more than `patience` seconds is told that the store is unavailable.
    """

    _MOST_KEYS = 10_000
    _MOST_UNKNOWN = 1_000

    def __init__(
        self,
        find: Callable[[str], Awaitable[Key | None]],
        *,
        seconds: float,
        clock: Callable[[], float],
        patience: float = 10,
    ) -> None:
        self._find = find
        self._patience = patience
        self._known: Recent[Key] = Recent(self._MOST_KEYS, seconds, clock)
        self._unknown: Recent[bool] = Recent(self._MOST_UNKNOWN, seconds, clock)
        self._looking_up = asyncio.Lock()

    async def identify(self, text: str) -> Key | Ended | None:
        """Return the valid key that `text` is, or its end, or None.

        Raises what `find` raises, and StoreUnavailable. Whoever lacks the secret learns nothing,
        not even that there is a key of this id.
        """
        match = _FORMAT.fullmatch(text)
        if match is None:
            return None
        key = await self._lookup(match["id"])
        if key is None or not hmac.compare_digest(key.digest, digest(match["secret"])):
            return None
        return key if key.ended is None else Ended(key.ended, key.revoked)

    async def _lookup(self, id_: str) -> Key | None:
        if (key := self._known.get(id_)) is not None:
            return key
        if self._unknown.get(id_):
            return None
        try:
            async with asyncio.timeout(self._patience), self._looking_up:
                return await self._looked_up(id_)
        except TimeoutError:
            raise StoreUnavailable(f"no key was found within {self._patience:g} s") from None

    async def _looked_up(self, id_: str) -> Key | None:
        if (key := self._known.get(id_)) is not None:  # while this request waited
            return key
        key = await self._find(id_)
        if key is None:
            self._unknown.put(id_, True)  # noqa: FBT003 — presence is all that is kept
        else:
            self._known.put(id_, key)
        return key
