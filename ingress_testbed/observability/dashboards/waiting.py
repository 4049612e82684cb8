"""Panels of what waits at this moment, which more than one dashboard shows.

Hops are measured on messages that were stored: what waits in an outage shows only when it is over.
These panels tell of it meanwhile.
"""

from ingress_testbed.observability.expressions import greatest, rate, total
from ingress_testbed.observability.panels import (
    NEVER,
    PLACES,
    WAYS,
    Bounds,
    Panel,
    Query,
    lines,
    number,
    states,
)


def how_many(width: int = 12) -> Panel:
    """Return the panel of the messages that wait, by place."""
    return lines(
        "Messages that wait now, by place",
        "Messages that lie in the publishers' journals and are not acknowledged, records in the topic "
        "that no consumer has stored, and envelopes in the API's queue. A journal that grows: the "
        "publisher cannot send, its way is closed. A topic that grows: the consumer is down, held or "
        "too slow. A queue that stays full: the API's database is too slow.",
        "short",
        Query(total("publisher_journal_pending_records"), "journal"),
        Query(total("core_consumer_lag_records"), "topic"),
        Query(total("core_api_queue_envelopes"), "API queue"),
        colours=PLACES,
        stacked=True,
        width=width,
    )


def how_old(width: int = 12) -> Panel:
    """Return the panel of the oldest message that waits, by place."""
    return lines(
        "Oldest message that waits now, by place",
        "Age of the oldest message that is not acknowledged, in any journal and in the topic. It rises "
        "by a second each second where messages stand still, long before a hop shows it, and falls at "
        "once when they move. While the broker itself is away nobody can ask it, and the topic's line "
        "stays as it was. `provider` is the silence of the stream that spoke last.",
        "s",
        Query(greatest("publisher_journal_oldest_seconds"), "journal"),
        Query(greatest("core_consumer_lag_seconds"), "topic"),
        Query(
            "time() - " + greatest("publisher_stream_last_frame_timestamp_seconds") + " < 1e6",
            "provider",
        ),
        colours=PLACES,
        width=width,
    )


def pressure(width: int = 12) -> Panel:
    """Return the panel of the queues that let nothing through, and why."""
    return lines(
        "Backpressure: which queue holds, and why",
        "Share of time in which a queue let nothing in or out; 100 % is one queue all the time. "
        "`window: timed_out` or `unreachable`: the way to core does not answer. `window: full`: batches "
        "are sent and not answered yet. `journal: limit` or `disk_full`: nothing is read from providers "
        "any more. `consumer: retry`: the database refuses. Short spikes are normal.",
        "percentunit",
        Query(
            rate("publisher_backpressure_seconds_total", "queue", "reason") + " > 0",
            "{{queue}}: {{reason}}",
        ),
        Query(rate("core_consumer_held_seconds_total", "reason") + " > 0", "consumer: {{reason}}"),
        colours={},
        width=width,
    )


def way(width: int = 12) -> Panel:
    """Return the panel of what the breaker says of Kafka."""
    return states(
        "Kafka, as the publishers see it",
        "Under queue-first: `closed` while Kafka takes everything; `open` while all traffic goes over "
        "HTTP, since Kafka failed; `half_open` while a few batches probe whether it is back. Red over "
        "minutes: the brokers are away. Red again and again: they are on the edge.",
        Query(
            "max by (publisher_breaker_state) (publisher_breaker_state)",
            "{{publisher_breaker_state}}",
        ),
        good=["closed"],
        width=width,
    )


def by_door(width: int = 12) -> Panel:
    """Return the panel of what comes in through which door."""
    return lines(
        "Envelopes by door",
        "Envelopes a second that core committed, by the door through which they came. Under queue-first "
        "all come through `kafka`; `http` instead of it means that Kafka is away. Neither means that "
        "nothing arrives.",
        "ops",
        Query(rate("core_ingest_envelopes_total", "door"), "{{door}}"),
        colours=WAYS,
        stacked=True,
        width=width,
    )


def kafka_away(width: int = 3) -> Panel:
    """Return the panel that says whether any publisher has left Kafka."""
    return number(
        "Kafka",
        "Whether some publisher sends over HTTP under queue-first, since Kafka failed it. It has no "
        "meaning under another transport. See ops/runbooks/KafkaAway.md.",
        "short",
        Query(
            greatest("publisher_breaker_state", where='publisher_breaker_state=~"open|half_open"')
        ),
        NEVER,
        words_for={0: "in use", 1: "away"},
        width=width,
    )


def oldest(width: int = 3) -> Panel:
    """Return the panel of the oldest message that waits anywhere."""
    return number(
        "Oldest that waits",
        "Age of the oldest message that core has not acknowledged, in any journal or in the topic. It "
        "tells of a standstill at once, when no hop can. More than a few seconds: look at what waits "
        "now, by place.",
        "s",
        Query(
            f"max({greatest('publisher_journal_oldest_seconds')}"
            f" or {greatest('core_consumer_lag_seconds')})"
        ),
        Bounds(5, 30),
        width=width,
    )
