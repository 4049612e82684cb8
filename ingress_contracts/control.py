"""Control messages: what a publisher says of itself and of its numbers."""

from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingress_contracts.fields import Detail, Instant, Name, Sequence, Text

Range = Annotated[
    tuple[Sequence, Sequence], Field(description="First and last number, both inclusive.")
]


class ConnectionState(StrEnum):
    """Where a stream stands."""

    CONNECTED = "connected"
    SUBSCRIBED = "subscribed"
    DISCONNECTED = "disconnected"


class Connection(BaseModel):
    """`telematics.publisher.connection.v1`: a stream changed its state at `at`."""

    model_config = ConfigDict(frozen=True)

    stream: Name
    state: ConnectionState
    at: Instant
    reason: Text | None = None


class Undeliverable(BaseModel):
    """`telematics.publisher.undeliverable.v1`: a journalled record that no route will take.

    It names its target by (epoch, sequence), which core settles as `dead_lettered`. `size` is the
    length of the target's data in bytes.
    """

    model_config = ConfigDict(frozen=True)

    epoch: UUID
    sequence: Sequence
    reason: Text
    detail: Detail = ""
    size: int = Field(ge=0)
    subject: Text | None = None


class CheckpointEpoch(BaseModel):
    """One epoch of a journal as it stood: every number in [first, head] was handed out.

    `pending` numbers are still in the journal, `dropped` ones were given up by a stated policy;
    all others were acknowledged by core. A `closed` epoch hands out no more numbers.
    An epoch that has handed out nothing has head = first - 1.
    """

    model_config = ConfigDict(frozen=True)

    epoch: UUID
    first: Sequence
    head: int = Field(ge=-1, lt=2**63)
    pending: tuple[Range, ...] = ()
    dropped: tuple[Range, ...] = ()
    closed: bool = False

    @model_validator(mode="after")
    def _ranges_rise_within_the_epoch(self) -> Self:
        if self.head < self.first - 1:
            raise ValueError(f"head {self.head} lies before first - 1 = {self.first - 1}")
        for ranges in (self.pending, self.dropped):
            previous = self.first - 1
            for low, high in ranges:
                if not previous < low <= high <= self.head:
                    raise ValueError(
                        f"[{low}, {high}] must rise and lie within [{self.first}, {self.head}]"
                    )
                previous = high
        return self


class Route(BaseModel):
    """A way that a checkpoint takes: the HTTP door, or every partition of a topic."""

    model_config = ConfigDict(frozen=True)

    door: Literal["http", "kafka"]
    topic: Text | None = None
    partitions: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _a_topic_belongs_to_kafka(self) -> Self:
        if (self.topic is None, self.partitions is None) != (self.door == "http",) * 2:
            raise ValueError("kafka needs topic and partitions, http takes neither")
        return self


class Checkpoint(BaseModel):
    """`telematics.publisher.checkpoint.v1`: a barrier behind everything sent before it.

    It counts once it, or a later one, has arrived by every route that it names. `number` rises
    for the life of the publisher id, also across journals. It goes by the ways in `copies` too, behind
    the copies sent there; nobody waits for it to arrive by those.
    """

    model_config = ConfigDict(frozen=True)

    number: Sequence
    epochs: tuple[CheckpointEpoch, ...]
    routes: tuple[Route, ...] = Field(min_length=1)
    copies: tuple[Route, ...] = Field(default=(), exclude_if=lambda copies: not copies)
