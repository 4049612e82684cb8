"""API keys in the database: found for a request; made, listed, rotated, revoked for an operator."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg

from core_api.keys import Key, NewKey, Role, generate
from core_api.store import borrowed
from core_ingest.store.queries import load

_SQL = load("core_api", "sql/keys.sql")


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as an operator sees it."""

    id: str
    role: Role
    workspace: str | None
    publisher: str | None
    created: datetime
    revoked: datetime | None
    expires: datetime | None
    valid: bool


@dataclass(frozen=True, slots=True)
class Rotation:
    """The successor of a key, what it is for, and when the old key ends."""

    key: NewKey
    role: Role
    workspace: str | None
    publisher: str | None
    old_ends: datetime


class KeyEnded(Exception):
    """The key was revoked or has expired: it can have no successor."""


class KeyStore:
    """The keys of one database. Every method raises StoreUnavailable where it is away."""

    def __init__(self, pool: asyncpg.Pool, *, seconds: float = 5) -> None:
        self._pool = pool
        self._seconds = seconds

    async def find(self, id_: str) -> Key | None:
        """Return the key with this id, valid or not."""
        async with borrowed(self._pool, self._seconds) as connection:
            row = await connection.fetchrow(_SQL["find_key"], id_, timeout=self._seconds)
        if row is None:
            return None
        return Key(
            row["id"],
            Role(row["role"]),
            row["workspace"],
            row["publisher"],
            row["digest"],
            row["ended"],
            revoked=row["revoked"],
            expires=row["expires"],
        )

    async def create(self, role: Role, workspace: str | None, publisher: str | None) -> NewKey:
        """Make a key, and its workspace where it is new. An ingest key is bound to a publisher."""
        key = generate()
        async with borrowed(self._pool, self._seconds) as connection, connection.transaction():
            if workspace is not None:
                made = await connection.fetchval(_SQL["create_workspace"], workspace)
                key = replace(key, founds=made is not None)
            await connection.execute(
                _SQL["create_key"], key.id, workspace, role.value, publisher, key.digest
            )
        return key

    async def list(self, workspace: str | None = None) -> list[ListedKey]:
        """Return all keys, or those of one workspace, oldest first."""
        async with borrowed(self._pool, self._seconds) as connection:
            rows = await connection.fetch(_SQL["list_keys"], workspace)
        return [
            ListedKey(
                row["id"],
                Role(row["role"]),
                row["workspace"],
                row["publisher"],
                row["created"],
                row["revoked"],
                row["expires"],
                row["valid"],
            )
            for row in rows
        ]

    async def revoke(self, id_: str) -> datetime | None:
        """Revoke a key and return since when it is revoked; None where there is no such key."""
        async with borrowed(self._pool, self._seconds) as connection:
            revoked: datetime | None = await connection.fetchval(_SQL["revoke_key"], id_)
        return revoked

    async def rotate(self, id_: str, overlap: timedelta) -> Rotation | None:
        """Make a key that may do what this one may, and let this one end after `overlap`.

        Until then both are valid. Returns None where there is no such key. Raises KeyEnded.
        """
        key = generate()
        async with borrowed(self._pool, self._seconds) as connection, connection.transaction():
            old = await connection.fetchrow(_SQL["lock_key"], id_)
            if old is None:
                return None
            if not old["valid"]:
                raise KeyEnded
            [new] = await connection.fetch(_SQL["succeed_key"], id_, key.id, key.digest)
            ends = await connection.fetchval(_SQL["expire_key"], id_, overlap)
        return Rotation(key, Role(new["role"]), new["workspace"], new["publisher"], ends)
