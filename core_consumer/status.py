"""What the consumer's metrics mean, for `ingress status`. Pure, and without the extra's libraries."""

from collections.abc import Iterator

from ingress_runtime.status.queues import Queue, section
from ingress_runtime.status.section import Cause, Figure, Level, Section, Symptom, Unit, Waiting
from ingress_runtime.status.window import Window
from ingress_runtime.status.words import seconds

WAITING_SECONDS = 10.0
"""An oldest record of that age waits; younger ones are on their way."""

_HERE = "in the topic"
_STATES = {
    "breaker": "the consumer has stopped, since nearly everything is rejected (breaker open{since})",
    "retry": "the consumer tries a batch again and again{since}: the database is away, or refuses it",
    "slow": "the consumer reads faster than core stores, so it holds its partitions{since}",
    "closing": "the consumer is closing",
}
"""What each state but `flowing` means, the worst first."""


def contribute(window: Window) -> Iterator[Section]:
    """Yield what the consumers tell. See ingress_runtime.status.section.Contributor."""
    states = window.state("core_consumer_state")
    state = next((one for one in (*_STATES, "flowing") if one in states), None)
    behind = window.totals("core_consumer_lag_records", ["partition"])
    records = sum(behind.values()) if behind else None
    oldest = window.most("core_consumer_lag_seconds")
    resets = window.total("core_consumer_offset_resets_total")
    late = oldest is not None and oldest >= WAITING_SECONDS
    symptoms: list[Symptom] = []
    if late:
        evidence = f"{records or 0:,.0f} records, the oldest for {seconds(oldest or 0)}"
        symptoms.append(Waiting(_HERE, evidence))
    if state in _STATES:
        level = Level.NOTICE if state in {"slow", "closing"} else Level.BAD
        symptoms.append(Cause(f"consumer_{state}", _HERE, _STATES[state], level))
    if window.growth("core_consumer_offset_resets_total") and not window.since_start:
        words = "partitions are not as the consumer left them: records may be lost, see its log"
        symptoms.append(Cause("offset_reset", _HERE, words))
    yield Section(
        "consumer",
        "consumer",
        (
            Figure(
                "state",
                "state",
                state,
                Unit.TEXT,
                Level.WELL if state in {None, "flowing"} else Level.NOTICE,
            ),
            Figure("lag_records", "behind by", records, level=Level.BAD if late else Level.WELL),
            Figure("lag_seconds", "oldest", oldest, Unit.SECONDS),
            Figure(
                "partitions_behind",
                "partitions behind",
                sum(number > 0 for number in behind.values()) if behind else None,
            ),
            Figure(
                "offset_resets",
                "resets since start",
                resets,
                level=Level.NOTICE if resets else Level.WELL,
            ),
        ),
        (),
        tuple(symptoms),
    )
    held = window.rates("core_consumer_held_seconds_total", ["reason"])
    queue = Queue("consumer partitions", held={reason: share for (reason,), share in held.items()})
    yield section([queue] if held else [])
