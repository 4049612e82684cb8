"""Publisher and streams: does the edge read everything, keep it, and get rid of it."""

from ingress_testbed.observability.composition import Composition, Row
from ingress_testbed.observability.dashboards import waiting
from ingress_testbed.observability.expressions import gained, greatest, quantile, rate, total
from ingress_testbed.observability.panels import (
    NEVER,
    WAYS,
    Bounds,
    Panel,
    Query,
    lines,
    number,
    states,
)

_SILENT = "time() - max by (provider, stream) (publisher_stream_last_frame_timestamp_seconds > 0)"
_FILLED = f"{total('publisher_journal_bytes')} / {total('publisher_journal_limit_bytes')}"


def dashboard() -> Composition:
    """Return the dashboard."""
    return Composition(
        "ingress-publisher",
        "Publisher and streams",
        "Whether the edge reads what providers send, keeps it safe, and gets rid of it.",
        [
            Row("At a glance", _glance()),
            Row("Streams", _streams()),
            Row("Journals", _journals()),
            Row("Sending", _sending()),
            Row("Queue-first and shadow", _queue_first()),
            Row("What must not happen", _never()),
        ],
    )


def _glance() -> list[Panel]:
    return [
        number(
            "Streams not subscribed",
            "Streams that are connected only, or not at all. What vehicles send meanwhile does not reach "
            "us. See ops/runbooks/StreamNotSubscribed.md.",
            "short",
            Query(total("publisher_streams", where='state!="subscribed"')),
            NEVER,
        ),
        number(
            "Longest silence",
            "Seconds since the last frame of the stream that has been silent longest. At night it may "
            "be long; by day a silent stream is a provider in trouble. See ops/runbooks/StreamSilent.md.",
            "s",
            Query(f"max({_SILENT})"),
            Bounds(600, 3_600),
        ),
        number(
            "Oldest in a journal",
            "Age of the oldest record that core does not have. It stays below a few seconds while the way "
            "to core is open; it rises while it is closed. See ops/runbooks/JournalOld.md.",
            "s",
            Query(greatest("publisher_journal_oldest_seconds")),
            Bounds(10, 300),
        ),
        number(
            "Journals filled",
            "Bytes in all journals, of their limits. At 100 % streams are not read any more, or the "
            "oldest are dropped, as the policy says. See ops/runbooks/JournalFilling.md.",
            "percentunit",
            Query(_FILLED),
            Bounds(0.5, 0.8),
        ),
        number(
            "Stood still",
            "Share of time in which batches were under way and none was acknowledged. Near 100 %: "
            "nothing gets through. See ops/runbooks/PublisherStandstill.md.",
            "percentunit",
            Query(rate("publisher_standstill_seconds_total")),
            Bounds(0.2, 0.5),
        ),
        number(
            "Senders stopped",
            "Senders that stopped for good: their key is not accepted, or everything is refused. Frames "
            "pile up until a person acts. See ops/runbooks/SenderStopped.md.",
            "short",
            Query(total("publisher_senders_stopped")),
            NEVER,
        ),
    ]


def _streams() -> list[Panel]:
    return [
        lines(
            "Frames from providers",
            "Frames a second that were read, by provider. It follows the fleet's day. A fall to 0: the "
            "stream is away, or not read since a journal is full.",
            "ops",
            Query(rate("publisher_frames_received_total", "provider"), "{{provider}}"),
            colours={},
        ),
        lines(
            "Streams by state",
            "Streams by what they last reported. All should be `subscribed`; what comes and goes between "
            "the others is a provider that hangs up.",
            "short",
            Query(total("publisher_streams", "state"), "{{state}}"),
            colours={"subscribed": "green", "connected": "yellow", "disconnected": "red"},
            stacked=True,
        ),
        lines(
            "Silence by stream",
            "Seconds since the last frame of each stream. A saw close to 0 is normal; a slope is a stream "
            "that says nothing.",
            "s",
            Query(_SILENT, "{{provider}} {{stream}}"),
            colours={},
        ),
        lines(
            "Connections that ended, by cause",
            "Connections that ended or never came about, by cause. Now and then is normal. `refused` or "
            "`not_authorised` again and again: the provider's key.",
            "short",
            Query(
                gained("publisher_connections_ended_total", "provider", "cause"),
                "{{provider}}: {{cause}}",
            ),
            colours={},
        ),
    ]


def _journals() -> list[Panel]:
    return [
        lines(
            "Records in the journals",
            "Records that core has not settled. A few hundred are under way at any time. A slope is a way "
            "to core that is closed or too slow; it falls steeply once it is open.",
            "short",
            Query(total("publisher_journal_pending_records"), "pending"),
            colours={"pending": "orange"},
            width=8,
        ),
        lines(
            "Bytes in the journals",
            "Bytes in use, and the limit of all journals. What comes near the limit will soon not be "
            "read, or will be dropped.",
            "bytes",
            Query(total("publisher_journal_bytes"), "in use"),
            Query(total("publisher_journal_limit_bytes"), "limit"),
            colours={"in use": "orange", "limit": "red"},
            far_apart=True,
            width=8,
        ),
        lines(
            "Oldest record in a journal",
            "Age of the oldest record that core does not have. Dashed: five minutes, when somebody "
            "should look.",
            "s",
            Query(greatest("publisher_journal_oldest_seconds"), "oldest"),
            bounds=Bounds(None, 300),
            colours={"oldest": "orange"},
            width=8,
        ),
        lines(
            "In and out",
            "Records a second that were written to journals, and that core acknowledged. Out below in: "
            "the journals grow.",
            "recps",
            Query(rate("publisher_records_journalled_total"), "in"),
            Query(rate("publisher_records_acknowledged_total"), "out"),
            colours={"in": "orange", "out": "green"},
            width=8,
        ),
        lines(
            "Time of a commit",
            "From the first operation of a group to its commit on disk. Slow commits are a slow disk; "
            "streams are read no faster than this.",
            "s",
            Query(quantile(0.5, "publisher_journal_commit_seconds"), "median"),
            Query(quantile(0.99, "publisher_journal_commit_seconds"), "p99"),
            width=8,
        ),
        lines(
            "Records in a group",
            "Records that were committed together. Large groups are many frames at a time, or a slow "
            "disk.",
            "short",
            Query(quantile(0.5, "publisher_intake_group_records"), "median"),
            Query(quantile(0.99, "publisher_intake_group_records"), "p99"),
            width=8,
        ),
    ]


def _sending() -> list[Panel]:
    return [
        lines(
            "Records acknowledged, by transport",
            "Records a second that core, or Kafka for it, has taken for good. Under queue-first the "
            "colour changes when Kafka is away.",
            "recps",
            Query(rate("publisher_records_acknowledged_total", "transport"), "{{transport}}"),
            colours={**WAYS, "queue-first": "green"},
            stacked=True,
        ),
        lines(
            "Attempts to send, by result",
            "Attempts a second by what came of them: `ok`, or the cause of the failure. Failures are "
            "tried again; many are a way that is closed.",
            "ops",
            Query(
                rate("publisher_send_attempts_total", "transport", "result") + " > 0",
                "{{transport}}: {{result}}",
            ),
            colours={},
        ),
        lines(
            "Wait before the first attempt",
            "From a record's receipt to the first attempt to send it: the publisher's own part of the "
            "delay. It rises while the window is full.",
            "s",
            Query(quantile(0.5, "publisher_wait_seconds"), "median"),
            Query(quantile(0.99, "publisher_wait_seconds"), "p99"),
            width=8,
        ),
        lines(
            "Time of an attempt, p99",
            "Duration of attempts that succeeded, by transport; one in a hundred takes longer. Over HTTP "
            "it holds core's commit.",
            "s",
            Query(quantile(0.99, "publisher_send_seconds", "transport"), "{{transport}}"),
            colours=WAYS,
            width=8,
        ),
        lines(
            "From receipt to answer, p99",
            "From a record's receipt to the answer that it is taken, by transport: what the edge can "
            "see of the delivery.",
            "s",
            Query(quantile(0.99, "publisher_delivery_seconds", "transport"), "{{transport}}"),
            colours=WAYS,
            width=8,
        ),
        waiting.pressure(8),
        lines(
            "The window",
            "Batches that are sent and not settled, and the most that may be. At the limit nothing more "
            "is sent until an answer comes.",
            "short",
            Query(total("publisher_batches_in_flight"), "in flight"),
            Query(total("publisher_batches_in_flight_limit"), "limit"),
            colours={"in flight": "blue", "limit": "red"},
            width=8,
        ),
        lines(
            "Records in a batch",
            "Records of a batch that arrived, by transport; half of the batches had more. Larger when "
            "busy, and after an outage.",
            "short",
            Query(quantile(0.5, "publisher_batch_records", "transport"), "{{transport}}"),
            colours=WAYS,
            width=8,
        ),
    ]


def _queue_first() -> list[Panel]:
    return [
        waiting.way(),
        states(
            "Standstill",
            "Whether batches are under way and none is acknowledged. A short mark at a failover is the "
            "deadline after which the publisher leaves Kafka.",
            Query(
                "sum(rate(publisher_standstill_seconds_total[$__rate_interval])) > bool 0.01",
                "standing still",
            ),
            good=[],
        ),
        lines(
            "Records by way",
            "Records a second that were acknowledged under queue-first, by the way that they went.",
            "recps",
            Query(rate("publisher_way_records_total", "way"), "{{way}}"),
            colours=WAYS,
            stacked=True,
            width=8,
        ),
        lines(
            "Failovers and probes",
            "Times that traffic left Kafka, and probes that ask whether it is back, by what came of "
            "them. Again and again: see ops/runbooks/FailoversRepeat.md.",
            "short",
            Query(gained("publisher_failovers_total"), "failovers"),
            Query(gained("publisher_probes_total", "result"), "probes {{result}}"),
            Query(gained("kafka_producers_abandoned_total"), "producers given up"),
            colours={
                "failovers": "red",
                "probes ok": "green",
                "probes failed": "orange",
                "producers given up": "purple",
            },
            width=8,
        ),
        lines(
            "Shadow copies",
            "Under shadow, records a second that were copied to Kafka, by what came of it. Nothing "
            "elsewhere. `failed` and `skipped` make the comparison incomplete, and lose nothing.",
            "recps",
            Query(rate("publisher_shadow_records_total", "result"), "{{result}}"),
            colours={"ok": "green", "failed": "red", "skipped": "orange"},
            width=8,
        ),
    ]


def _never() -> list[Panel]:
    return [
        number(
            "Records dropped",
            "Records given up unsent since the start, because a journal was full and its policy is "
            "drop-oldest. They are lost, and reported as such. See ops/runbooks/RecordsDropped.md.",
            "short",
            Query(total("publisher_records_dropped_total")),
            NEVER,
        ),
        number(
            "Records undeliverable",
            "Records refused for themselves since the start, and set aside. Core has a dead letter of "
            "each, without its data. See ops/runbooks/RecordsUndeliverable.md.",
            "short",
            Query(
                f"({total('publisher_records_undeliverable_total')}"
                f" or 0 * {total('publisher_records_journalled_total')})"
            ),
            NEVER,
        ),
        number(
            "Journals blocked",
            "Journals that take nothing at this moment: at their limit, or the disk is full. Their "
            "streams are not read. See ops/runbooks/JournalBlocked.md.",
            "short",
            Query(total("publisher_journals_blocked")),
            NEVER,
        ),
        number(
            "Journals damaged",
            "Journal files that were found damaged at a start and set aside. See "
            "ops/runbooks/JournalDamaged.md.",
            "short",
            Query(total("publisher_journals_damaged_total")),
            NEVER,
        ),
        number(
            "Kafka records gone",
            "Records that Kafka had acknowledged and that its topic no longer holds. Those that core had "
            "not read are lost, and are unaccounted. See ops/runbooks/KafkaRecordsGone.md.",
            "short",
            Query(total("publisher_kafka_records_gone_total")),
            NEVER,
        ),
        number(
            "Checkpoints",
            "Checkpoints a second that core has. Without them core cannot tell what is missing: 0 for "
            "minutes is a publisher that is down, or a way that is closed.",
            "ops",
            Query(rate("publisher_checkpoints_acknowledged_total")),
            Bounds(0.001, 0.0001, falling=True),
        ),
    ]
