"""What the demo ends with: numbers, and whether they are right. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

OUTCOMES = (
    "accepted",
    "unchanged",
    "stale",
    "duplicate",
    "conflict",
    "empty",
    "quarantined",
    "dead_lettered",
    "dropped",
)
"""The outcomes of a settled data message, in the order of the design's equation."""

TERMS = ("received", "control", *OUTCOMES, "in_flight", "unaccounted")
"""What the report takes from core's accounting."""


@dataclass(frozen=True, slots=True)
class Report:
    """The end of a run; messages are distinct (publisher, epoch, sequence).

    `received` counts data messages, `control` all others. `seconds` runs from the replay's start to
    the settlement of its last message. `via_kafka` and `via_http` are messages by the way on which
    each came first; `failovers` and `standstill_seconds` are the publishers'. `peak_rss_bytes` is by
    process.
    """

    received: int
    control: int
    accepted: int
    unchanged: int
    stale: int
    duplicate: int
    conflict: int
    empty: int
    quarantined: int
    dead_lettered: int
    dropped: int
    in_flight: int
    unaccounted: int
    snapshot_mismatches: int
    facts_stored: int
    via_kafka: int
    via_http: int
    failovers: int
    standstill_seconds: float
    seconds: float
    peak_rss_bytes: Mapping[str, int]

    def to_json(self) -> str:
        """Return one line: an object with the fields above."""
        return json.dumps(asdict(self))

    def outcomes(self) -> dict[str, int]:
        """Return the settled data messages by outcome."""
        return {name: getattr(self, name) for name in OUTCOMES}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a right run ends with: the frames sent to all subscribers, the facts in them."""

    sent: int
    facts: int


def differences(report: Report, expected: Expected) -> Iterator[str]:
    """Yield a sentence for each way in which `report` is not right; none: all is well."""
    if report.received != expected.sent:
        yield f"{expected.sent:,} frames were sent, but {report.received:,} were received."
    if report.in_flight:
        yield f"{report.in_flight:,} messages are in flight still: not all was settled."
    if report.unaccounted:
        yield f"{report.unaccounted:,} messages are unaccounted for."
    terms = sum(report.outcomes().values()) + report.in_flight + report.unaccounted
    if report.received != terms:
        yield f"The equation does not hold: received {report.received:,}, its terms {terms:,}."
    if report.facts_stored != expected.facts:
        yield f"The frames hold {expected.facts:,} facts, but {report.facts_stored:,} are stored."
    if report.snapshot_mismatches:
        yield (
            f"{report.snapshot_mismatches:,} values of the served snapshot are not those computed "
            "from the input."
        )
