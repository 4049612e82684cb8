"""Where a key belongs: as Kafka's own clients have it."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

_SIGN = 0x7FFFFFFF
_REMEMBERED = 65_536


@lru_cache(_REMEMBERED)
def partition(key: bytes, partitions: int) -> int:
    """Return the partition of `key` among so many: its murmur2 hash without the sign, modulo."""
    found: int = (murmur2(key) & _SIGN) % partitions
    return found
