"""What stands where in a record: found out once for all records whose headers have the same names.

The records of a stream differ in a few attributes of their own. The others they share, so that
those are encoded, and read, once for all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from ingress_contracts import attributes
from ingress_contracts.envelope import Data
from ingress_contracts.fields import Instant, Text, TraceParent, WireSequence

CONTENT_TYPE = "content-type"
ATTRIBUTES: Mapping[str, str] = {
    CONTENT_TYPE: "datacontenttype",
    **{f"ce_{name}": name for name in sorted(attributes.NAMES - {"datacontenttype"})},
}
"""The attribute that each header stands for."""

OWN: Mapping[str, Any] = {
    "id": Text,
    "time": Instant,
    "subject": Text,
    "receivedtime": Instant,
    "partitionkey": Text,
    "sequence": WireSequence,
    "traceparent": TraceParent,
}
"""The attributes in which the records of a stream differ, with their types."""

_NEEDED = {"id", "receivedtime", "sequence"}
_KNOWN_LAYOUTS = 1_024

Raws: TypeAlias = tuple[bytes | None, ...]
"""The values of a record's headers, in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How the headers of a record are taken apart.

    `own` and `shared` pick values; `own_names` and `shared_names` say of which attributes and of
    which headers. `read` validates the texts of `own` and, behind them, the data.
    """

    own_names: Sequence[str]
    own: Callable[[Raws], tuple[Any, ...]]
    read: Callable[[Sequence[object]], Sequence[Any]]
    shared_names: Sequence[str]
    shared: Callable[[Raws], Raws]


@lru_cache(_KNOWN_LAYOUTS)
def layout_of(headers: tuple[str, ...]) -> Layout | None:
    """Return the layout of records with these headers, or None where one is there twice or lacks."""
    places = {ATTRIBUTES[header]: at for at, header in enumerate(headers) if header in ATTRIBUTES}
    own = [name for name in OWN if name in places]
    shared = [name for name in places if name not in OWN]
    if len(set(headers)) < len(headers) or len(shared) < 2 or not places.keys() >= _NEEDED:  # noqa: PLR2004
        return None
    return Layout(
        own_names=(*own, "data"),
        own=itemgetter(*map(places.__getitem__, own)),
        read=_reader(tuple(own)),
        shared_names=[headers[places[name]] for name in shared],
        shared=itemgetter(*map(places.__getitem__, shared)),
    )


@lru_cache
def _reader(own: tuple[str, ...]) -> Callable[[Sequence[object]], Sequence[Any]]:
    shape: Any = tuple[(*map(OWN.__getitem__, own), Data)]  # type: ignore[misc] # known only now
    return TypeAdapter(shape).validator.validate_python
