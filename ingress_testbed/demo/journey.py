"""One frame on its way through every hop, put together from what each hop has kept of it.

The ledger says that core accepted a number; an epoch's numbers are handed out to connection events
and to frames in the order in which they came, so the number tells which frame of the recording it
was; its bytes give the content id, and the row in history. A queue holds the number too, and where
it stands there says which bytes it has.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from core_ingest.providers.viriciti import PROVIDER, interpret
from core_ingest.reading import Reading, instant, of_columns
from core_ingest.store.queries import load
from ingress_contracts.content_id import content_id
from ingress_contracts.kinds import PROVIDER_MESSAGE
from ingress_testbed.demo.core_client import CoreClient
from ingress_testbed.demo.queue import Place, Queue, place_of

_SQL = load("ingress_testbed.demo", "observe.sql")
_FIRST_NUMBER = 1  # of a journal that was just made


@dataclass(frozen=True, slots=True)
class Settled:
    """A number that core has accepted, and which frame of its stream it was (0: the first)."""

    publisher: str
    epoch: UUID
    sequence: int
    frame: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Journey:
    """What each hop knows of one frame.

    `row` is the one in history, `served` the value that the API gave within `read_seconds`.
    `place` is where it stood in the queue, if there is one.
    """

    data: bytes
    id: UUID
    settled: Settled
    vehicle: str
    signal: str
    value: float | str | tuple[float, float]
    row: Mapping[str, Any]
    served: Any
    read_seconds: float
    place: Place | None = None

    @property
    def provider_to_edge(self) -> float:
        """Seconds from the provider's time stamp to the edge."""
        return float((self.row["received"] - self.row["observed"]).total_seconds())

    @property
    def edge_to_queue(self) -> float:
        """Seconds from the edge's stamp, through the journal, to the record in the queue."""
        return float(max(0.0, (self._sent - self.row["received"]).total_seconds()))

    @property
    def to_core(self) -> float:
        """Seconds from the queue, or where there is none from the edge, to core's transaction."""
        return float((self.settled.at - self._sent).total_seconds())

    @property
    def _sent(self) -> datetime:
        """The instant of the record in the queue, or of the edge's stamp where there is no queue."""
        if self.place is None:
            received: datetime = self.row["received"]
            return received
        return datetime.fromtimestamp(self.place.written / 1_000, UTC)


async def newest_settled(pool: asyncpg.Pool, workspace: str, publisher: str) -> Settled | None:
    """Return a number just accepted, or None where the compactor has folded all of them.

    The publisher must have one stream and a journal of its own that was new when it began.
    """
    row = await pool.fetchrow(_SQL["newest_accepted"], workspace, publisher)
    if row is None:
        return None
    sequence = row["first"] + int.from_bytes(row["numbers"], "little").bit_length() - 1
    events = await pool.fetchval(
        _SQL["connection_events_before"], workspace, publisher, row["epoch"], sequence
    )
    frame = max(sequence - _FIRST_NUMBER - events, 0)
    return Settled(publisher, row["epoch"], sequence, frame, row["settled"])


async def journey_of(
    pool: asyncpg.Pool, core: CoreClient, settled: Settled, data: bytes, queue: Queue | None = None
) -> Journey | None:
    """Return the journey of the frame `data`, or None where history has no such row.

    Likewise None where the queue has other bytes by that number: partitions are read in no order,
    and an event before it was not stored yet when the frames were counted.
    """
    found = interpret(data)
    (reading,) = found.readings
    if not isinstance(reading, Reading):
        return None
    observed = instant(reading.observed)
    row = await pool.fetchrow(
        _SQL["fact"], core.workspace, found.external_id, reading.signal, observed
    )
    if row is None or of_columns(row["num"], row["lon"], row["text"]) != reading.value:
        return None
    place = None
    if queue is not None:
        place = await place_of(queue, settled.publisher, str(settled.epoch), settled.sequence)
        if place is None or place.value != data:
            return None
    begun = time.perf_counter()
    served = await core.value_at(row["vehicle"], reading.signal, observed)
    return Journey(
        data=data,
        id=content_id(PROVIDER_MESSAGE, PROVIDER, core.workspace, data),
        settled=settled,
        vehicle=found.external_id,
        signal=reading.signal,
        value=reading.value,
        row=dict(row),
        served=served,
        read_seconds=time.perf_counter() - begun,
        place=place,
    )
