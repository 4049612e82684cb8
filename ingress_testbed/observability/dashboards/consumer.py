"""Consumer and topic: is the topic read as fast as it is written, and if not, why."""

from ingress_testbed.observability.composition import Composition, Row
from ingress_testbed.observability.expressions import gained, greatest, quantile, rate, total
from ingress_testbed.observability.panels import (
    NEVER,
    Bounds,
    Panel,
    Query,
    lines,
    number,
    states,
)

_WRITTEN = " + ".join(
    f"({rate(metric, where=where)} or vector(0))"
    for metric, where in (
        ("publisher_records_acknowledged_total", 'transport="kafka"'),
        ("publisher_way_records_total", 'way="kafka"'),
        ("publisher_shadow_records_total", 'result="ok"'),
    )
)
"""Records come by one of these, as the transport is."""


def dashboard() -> Composition:
    """Return the dashboard."""
    return Composition(
        "ingress-consumer",
        "Consumer and topic",
        "Whether the topic is read as fast as it is written, and if not, why.",
        [
            Row("At a glance", _glance()),
            Row("Reading", _reading()),
            Row("Batches", _batches()),
            Row("Trouble", _trouble()),
            Row("Redpanda", _redpanda()),
        ],
    )


def _glance() -> list[Panel]:
    return [
        number(
            "Records that wait",
            "Records of all partitions that no consumer has acknowledged. Some hundreds are in work at "
            "any time; thousands that grow are a consumer that is down, held or too slow.",
            "short",
            Query(total("core_consumer_lag_records")),
            Bounds(10_000, 100_000),
        ),
        number(
            "Oldest of them",
            "Age of the oldest record that is not acknowledged, as far as a consumer has seen it. More "
            "than a minute: see ops/runbooks/ConsumerFallsBehind.md.",
            "s",
            Query(greatest("core_consumer_lag_seconds")),
            Bounds(30, 120),
        ),
        number(
            "Records stored",
            "Records a second that were stored and acknowledged. 0 is right only if nothing is sent "
            "through Kafka, as while the publishers send over HTTP.",
            "recps",
            Query(rate("core_consumer_records_total")),
            Bounds(None, None),
        ),
        number(
            "Held",
            "Share of time in which partitions were held, for whatever reason. Steadily near 100 %: the "
            "database does not keep up, or is away.",
            "percentunit",
            Query(rate("core_consumer_held_seconds_total")),
            Bounds(0.3, 0.8),
        ),
        number(
            "Batch, p99",
            "One batch in a hundred takes longer than this from its decoding to its committed offsets. "
            "Compare it with the time of statements on the dashboard Database.",
            "s",
            Query(quantile(0.99, "core_consumer_batch_seconds")),
            Bounds(1, 5),
        ),
        number(
            "Offsets reset",
            "Partitions that were not as the consumer left them, since the start: records expired "
            "unread, a topic made anew or cut off. Each may be a loss: see "
            "ops/runbooks/ConsumerOffsetsReset.md.",
            "short",
            Query(total("core_consumer_offset_resets_total")),
            NEVER,
        ),
    ]


def _reading() -> list[Panel]:
    return [
        states(
            "The consumer",
            "What the consumer does: `flowing`, or why its partitions are held. `slow`: the database "
            "takes long, and no more is read meanwhile. `retry`: it refuses. `breaker`: nearly all is "
            "rejected, and a person must decide.",
            Query("max by (core_consumer_state) (core_consumer_state)", "{{core_consumer_state}}"),
            good=["flowing"],
        ),
        lines(
            "Written and read",
            "Records a second that publishers put into the topic, and that consumers stored. Where the "
            "first stays above the second the topic grows.",
            "recps",
            Query(_WRITTEN, "written"),
            Query(rate("core_consumer_records_total"), "read"),
            colours={"written": "orange", "read": "green"},
        ),
        lines(
            "Records that wait, by partition",
            "Records that are not acknowledged, by partition. One partition that grows alone: its "
            "vehicles are busier, or its consumer is stuck.",
            "short",
            Query(total("core_consumer_lag_records", "partition"), "{{partition}}"),
            colours={},
            stacked=True,
        ),
        lines(
            "Oldest record, by partition",
            "Age of the oldest record that is not acknowledged, by partition. It rises by a second each "
            "second where nothing is read, and stays as it was while the broker is away.",
            "s",
            Query(greatest("core_consumer_lag_seconds", "partition"), "{{partition}}"),
            colours={},
            bounds=Bounds(None, 120),
        ),
    ]


def _batches() -> list[Panel]:
    return [
        lines(
            "Time of a batch",
            "From a batch's decoding to its committed offsets. It follows the database: compare with "
            "the dashboard Database.",
            "s",
            Query(quantile(0.5, "core_consumer_batch_seconds"), "median"),
            Query(quantile(0.99, "core_consumer_batch_seconds"), "p99"),
            width=8,
        ),
        lines(
            "Records in a batch",
            "Records that shared a transaction. Large batches are what a consumer makes of a backlog; "
            "they cost less for each record.",
            "short",
            Query(quantile(0.5, "core_consumer_batch_records"), "median"),
            Query(quantile(0.99, "core_consumer_batch_records"), "p99"),
            width=8,
        ),
        lines(
            "Held, by reason",
            "Share of time in which partitions were held. `slow` now and then is backpressure that works; "
            "`retry` is a database in trouble; `breaker` needs a person.",
            "percentunit",
            Query(rate("core_consumer_held_seconds_total", "reason"), "{{reason}}"),
            colours={"slow": "yellow", "retry": "orange", "breaker": "red", "closing": "#8e8e8e"},
            stacked=True,
            width=8,
        ),
    ]


def _trouble() -> list[Panel]:
    return [
        lines(
            "Batches that failed or were given up",
            "Batches that could not be stored and are read again, that were given up because partitions "
            "moved to another consumer, and polls that failed. None loses anything; many of them are a "
            "database in trouble, or a group that cannot settle.",
            "short",
            Query(gained("core_consumer_batch_failures_total"), "failed"),
            Query(gained("core_consumer_batches_abandoned_total"), "given up"),
            Query(gained("core_consumer_poll_failures_total"), "polls failed"),
            colours={"failed": "red", "given up": "orange", "polls failed": "purple"},
        ),
        lines(
            "Offsets reset, by reason",
            "Partitions that were not as they were left, by reason. `expired`: retention deleted records "
            "that nobody had read. `back`: the topic was made anew or cut off. `vanished`: it is gone.",
            "short",
            Query(gained("core_consumer_offset_resets_total", "reason"), "{{reason}}"),
            colours={},
        ),
    ]


def _redpanda() -> list[Panel]:
    return [
        lines(
            "Redpanda: bytes in and out",
            "Bytes a second that clients wrote into topics and read from them. Reading above writing: a "
            "consumer catches up. Only with Redpanda, as in the compose stack.",
            "Bps",
            Query(
                rate("redpanda_kafka_request_bytes_total", "redpanda_request"),
                "{{redpanda_request}}",
            ),
            colours={"produce": "orange", "consume": "green"},
            width=6,
        ),
        lines(
            "Redpanda: time of requests, p99",
            "One request in a hundred takes the broker longer than this. When producing is slow the "
            "disk is: publishers fall over to HTTP if it takes longer than their deadline. Only with "
            "Redpanda.",
            "s",
            Query(
                quantile(0.99, "redpanda_kafka_request_latency_seconds", "redpanda_request"),
                "{{redpanda_request}}",
            ),
            colours={"produce": "orange", "consume": "green"},
            width=6,
        ),
        lines(
            "Redpanda: free disk",
            "Share of the disk that is free. Below a tenth the broker soon takes no more. Only with "
            "Redpanda.",
            "percentunit",
            Query(
                "min(redpanda_storage_disk_free_bytes / redpanda_storage_disk_total_bytes)",
                "free disk",
            ),
            colours={"free disk": "green"},
            width=6,
        ),
        lines(
            "Redpanda: partitions without leader",
            "Partitions that nobody leads, and that take nothing. It must be 0; anything else is a broker "
            "that is down. Only with Redpanda.",
            "short",
            Query("sum(redpanda_cluster_unavailable_partitions)", "without leader"),
            bounds=NEVER,
            colours={},
            width=6,
        ),
    ]
