"""Checkpoints as barriers: by which routes they must arrive, and how far each route has come."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import asyncpg

from core_ingest.ledger.numbers import Range
from ingress_contracts.control import Checkpoint, Route

PublisherKey: TypeAlias = tuple[int, str]
"""Workspace and publisher."""

Reached: TypeAlias = Mapping[PublisherKey, Mapping[str, int]]
"""The greatest checkpoint number of each publisher by route."""

GREATEST = 2**63 - 1
"""The greatest number that there is."""


def reached(arrivals: Iterable[asyncpg.Record]) -> Reached:
    """Return how far each route of each publisher has come."""
    found: dict[PublisherKey, dict[str, int]] = defaultdict(dict)
    for row in arrivals:
        found[row["workspace"], row["publisher"]][row["route"]] = row["number"]
    return found


def has_arrived(number: int, named: Iterable[Route], by: Mapping[str, int]) -> bool:
    """Return whether checkpoint `number`, or a later one, came by every route of `named`."""
    return all(by.get(route, -1) >= number for route in routes(named))


def routes(named: Iterable[Route]) -> Iterator[str]:
    """Yield the routes by which a checkpoint must arrive, each partition on its own.

    One by one: a message may name a thousand million partitions, and the first that is missing
    decides.
    """
    for route in named:
        if route.topic is None:
            yield route.door
        else:
            for partition in range(route.partitions or 0):
                yield f"{route.door}/{route.topic}/{partition}"


def is_copy(checkpoint: Checkpoint, route: str) -> bool:
    """Return whether what came by `route` is a copy: the checkpoint is awaited by others."""
    return any(_takes(one, route) for one in checkpoint.copies) and not any(
        _takes(one, route) for one in checkpoint.routes
    )


def _takes(named: Route, route: str) -> bool:
    if named.topic is None:
        return route == named.door
    return route.rpartition("/")[0] == f"{named.door}/{named.topic}"


def half_open(ranges: Iterable[Range]) -> list[asyncpg.Range[int]]:
    """Return inclusive ranges as Postgres' own.

    Those end before their upper bound, which for the greatest number is no int8.
    """
    return [asyncpg.Range(low, None if high == GREATEST else high + 1) for low, high in ranges]


def inclusive(ranges: Iterable[asyncpg.Range[int]]) -> list[Range]:
    """Return Postgres' half-open ranges of numbers as inclusive ones."""
    return [
        (found.lower or 0, GREATEST if found.upper is None else found.upper - 1) for found in ranges
    ]
