"""What one poll brought: records by partition, read as the handler takes them. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from core_consumer.positions import Place
from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery
from core_ingest.hops import Passage
from core_ingest.unreadable import Unreadable
from ingress_contracts import kafka
from ingress_contracts.envelope import Envelope
from ingress_contracts.kafka import MalformedRecord

ANYBODY = Principal()
"""Who may write to the topic is the brokers' decision."""

_STEP = 200
"""Records that are read at once: some 2 ms, in which the transaction of the batch before waits."""

_PLACE = attrgetter("topic", "partition")


class Record(Protocol):
    """A record as aiokafka hands it out; `timestamp` is in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one partition: at least one record, by offset."""

    place: Place
    records: Sequence[Record]

    @property
    def first(self) -> int:
        """The offset of its first record."""
        return self.records[0].offset

    @property
    def following(self) -> int:
        """The offset to commit, and to read next."""
        return self.records[-1].offset + 1


class Batch:
    """Parts, no two of one partition; once they are read, the deliveries that the handler takes.

    `arrived` is when a poll brought them, in µs since the epoch.
    """

    def __init__(self, parts: Sequence[Part], arrived: int) -> None:
        self.parts = parts
        self._arrived = arrived
        self.deliveries: list[Delivery] = []

    def read(self) -> Iterator[None]:
        """Read the records, some at each step: all of them would keep the event loop for long."""
        for part in self.parts:
            found: list[Envelope | Unreadable] = []
            for index in range(0, len(part.records), _STEP):
                found += [_read(record) for record in part.records[index : index + _STEP]]
                yield
            self.deliveries.append(_delivery(part, found, self._arrived))

    @property
    def size(self) -> int:
        """How many records."""
        return sum(len(part.records) for part in self.parts)

    @property
    def starts(self) -> dict[Place, int]:
        """From where to read it again."""
        return {part.place: part.first for part in self.parts}

    @property
    def offsets(self) -> dict[Place, int]:
        """What to commit once it is stored."""
        return {part.place: part.following for part in self.parts}

    @property
    def oldest(self) -> dict[Place, int]:
        """The timestamp (ms) of the first record of each part, where it has one."""
        firsts = ((part.place, part.records[0].timestamp) for part in self.parts)
        return {place: timestamp for place, timestamp in firsts if timestamp >= 0}


def parts(records: Iterable[Record]) -> list[Part]:
    """Return records by partition; those of a partition come one after another."""
    return [Part(place, tuple(found)) for place, found in groupby(records, _PLACE)]


def _delivery(part: Part, found: Sequence[Envelope | Unreadable], arrived: int) -> Delivery:
    topic, partition = part.place
    written = [record.timestamp * 1_000 for record in part.records]
    return Delivery(
        found,
        Door.KAFKA,
        ANYBODY,
        f"kafka/{topic}/{partition}",
        [record.offset for record in part.records],
        # A record of an old format has no timestamp, which is told as -1.
        passage=Passage(arrived, written if min(written) >= 0 else ()),
    )


def _read(record: Record) -> Envelope | Unreadable:
    try:
        return kafka.decode(record.headers, record.value, record.key)
    except MalformedRecord as error:
        return Unreadable(
            reason=error.reason,
            detail=error.detail,
            data=record.value or b"",
            key=record.key,
            headers=record.headers,
            **asdict(kafka.claim(record.headers)),
        )
