"""The id of a message is a digest of what it says, so every copy of it carries the same one."""

import hashlib
from functools import lru_cache
from uuid import UUID

_VERSION_AND_VARIANT = (0xF << 76) | (0x3 << 62)
_UUID8 = (0x8 << 76) | (0x2 << 62)


def content_id(
    type_: str,
    provider: str,
    workspace: str,
    data: bytes,
    occurrence: tuple[str, UUID, int] | None = None,
) -> UUID:
    """Return the UUIDv8 (RFC 9562) of a message.

    The first 16 bytes of SHA-256 over the parts `type_`, `provider`, `workspace` (UTF-8) and
    `data`, each after its length as 4 bytes, big-endian. A message of no provider has "" there.

    `occurrence` is (publisher, epoch, sequence) and belongs to messages that have no timestamp of
    their own (acl, error, control): equal bytes are separate occurrences there, so its three parts
    (as text) join the digest.

    The id ties copies together (a retry, a second owner, another transport). It is never a guard.
    """
    parts = _kind(type_, provider, workspace) + _measured(data)
    if occurrence is not None:
        publisher, epoch, sequence = occurrence
        parts += _measured(publisher.encode()) + _measured(str(epoch).encode())
        parts += _measured(b"%d" % sequence)
    return uuid8(hashlib.sha256(parts).digest())


@lru_cache(maxsize=256)
def _kind(type_: str, provider: str, workspace: str) -> bytes:
    """Return the parts that most messages of a process share."""
    return b"".join(_measured(part.encode()) for part in (type_, provider, workspace))


def _measured(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def uuid8(digest: bytes) -> UUID:
    """Shape the first 16 bytes of `digest` as a UUIDv8: version and variant bits overwrite six."""
    return UUID(int=int.from_bytes(digest[:16], "big") & ~_VERSION_AND_VARIANT | _UUID8)
