"""The id of a message is a digest of what it says, so every copy of it carries the same one."""

import hashlib
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
    parts = [type_.encode(), provider.encode(), workspace.encode(), data]
    if occurrence is not None:
        publisher, epoch, sequence = occurrence
        parts += [publisher.encode(), str(epoch).encode(), b"%d" % sequence]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return uuid8(digest.digest())


def uuid8(digest: bytes) -> UUID:
    """Shape the first 16 bytes of `digest` as a UUIDv8: version and variant bits overwrite six."""
    return UUID(int=int.from_bytes(digest[:16], "big") & ~_VERSION_AND_VARIANT | _UUID8)
