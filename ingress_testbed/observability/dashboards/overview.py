"""Ingest overview: is everything well, and if not, where to look."""

from ingress_testbed.observability.composition import Composition, Row
from ingress_testbed.observability.dashboards import waiting
from ingress_testbed.observability.expressions import greatest, quantile, rate, total
from ingress_testbed.observability.panels import (
    NEVER,
    OUTCOMES,
    Bounds,
    Panel,
    Query,
    lines,
    number,
    rows,
)

_LETTERS = (
    "(sum(max by (reason) (core_ingest_dead_letters_waiting))"
    " or 0 * max(core_ingest_ledger_looked_timestamp_seconds))"
)


def dashboard() -> Composition:
    """Return the dashboard."""
    return Composition(
        "ingress-overview",
        "Ingest overview",
        "Whether messages arrive, how late, and whether any is missing. Green at the top: all is well.",
        [
            Row("At a glance", _glance()),
            Row("What flows, and what holds it up", _flow()),
            Row("How late", _lateness()),
            Row("What waits", _waiting()),
            Row("What could not be used", _letters()),
            Row("The HTTP door", _door()),
            Row("Processes", _processes()),
        ],
    )


def _glance() -> list[Panel]:
    return [
        number(
            "Unaccounted",
            "Messages that a publisher says were acknowledged and of which core has no trace, in all "
            "workspaces. It must be 0: anything else is a loss. See ops/runbooks/MessagesUnaccounted.md.",
            "short",
            Query(greatest("core_ingest_unaccounted_messages")),
            NEVER,
            width=3,
        ),
        number(
            "Stranded",
            "Messages in flight whose publisher has not reported for 15 minutes. They lie in a journal "
            "that nobody runs. While Kafka is away it may accuse a publisher that is well. See "
            "ops/runbooks/MessagesStranded.md.",
            "short",
            Query(greatest("core_ingest_stranded_messages")),
            Bounds(1, None),
            width=3,
        ),
        number(
            "Freshness, p99",
            "One message in a hundred was older than this when it was committed, by the provider's "
            "clock. The objective is 60 s. If delivery is good and this is not, the provider is late.",
            "s",
            Query(quantile(0.99, "core_ingest_freshness_seconds")),
            Bounds(30, 60),
            width=3,
        ),
        number(
            "Delivery, p99",
            "One message in a hundred took longer than this from its receipt at the edge to its commit. "
            "The objective is 10 s. The dashboard Lag by hop tells where the time goes.",
            "s",
            Query(quantile(0.99, "core_ingest_delivery_seconds")),
            Bounds(5, 10),
            width=3,
        ),
        waiting.oldest(),
        waiting.kafka_away(),
        number(
            "Dead letters that wait",
            "Messages that could not be used and wait to be replayed or discarded. None is lost. See "
            "ops/runbooks/DeadLettersWait.md.",
            "short",
            Query(_LETTERS),
            Bounds(1, 1_000),
            width=3,
        ),
        number(
            "Alerts that fire",
            "Alerts that fire at this moment; the table further down names them. Each has a page in "
            "ops/runbooks.",
            "short",
            Query('count(ALERTS{alertstate="firing"}) or vector(0)'),
            NEVER,
            width=3,
        ),
    ]


def _flow() -> list[Panel]:
    return [
        lines(
            "Envelopes by outcome",
            "Envelopes a second by what became of them. Most are accepted or unchanged. Red is what "
            "could not be used; blue is what was stored before, as after a retry. A gap is a standstill.",
            "ops",
            Query(rate("core_ingest_envelopes_total", "outcome"), "{{outcome}}"),
            colours=OUTCOMES,
            stacked=True,
            width=8,
        ),
        waiting.by_door(8),
        waiting.pressure(8),
    ]


def _lateness() -> list[Panel]:
    return [
        lines(
            "Freshness and delivery",
            "Age of messages at their commit: by the provider's clock (freshness), and since their "
            "receipt at the edge (delivery). Dashed: the objective of delivery, 10 s. Where both rise "
            "it is our delay, where only freshness rises it is the provider's.",
            "s",
            Query(quantile(0.99, "core_ingest_freshness_seconds"), "freshness p99"),
            Query(quantile(0.5, "core_ingest_freshness_seconds"), "freshness median"),
            Query(quantile(0.99, "core_ingest_delivery_seconds"), "delivery p99"),
            Query(quantile(0.5, "core_ingest_delivery_seconds"), "delivery median"),
            bounds=Bounds(None, 10),
            colours={
                "freshness p99": "dark-orange",
                "freshness median": "light-orange",
                "delivery p99": "dark-blue",
                "delivery median": "light-blue",
            },
            far_apart=True,
        ),
        lines(
            "Messages late for their objective",
            "Share of messages that missed the objective, over 5 minutes: delivery within 10 s (99.9 % "
            "must be), freshness within 60 s (99 %). Alerts fire on how fast this uses up what a month "
            "allows; see docs/objectives.md.",
            "percentunit",
            Query("ingress:delivery_late:ratio_rate5m", "delivery"),
            Query("ingress:freshness_late:ratio_rate5m", "freshness"),
            colours={"freshness": "orange", "delivery": "blue"},
        ),
    ]


def _waiting() -> list[Panel]:
    return [
        waiting.how_many(),
        waiting.how_old(),
        waiting.way(8),
        lines(
            "In flight, as core's ledger sees it",
            "Messages of all workspaces that were handed out and are not settled yet. It rises with what "
            "waits, and falls to nearly 0 when all has arrived.",
            "short",
            Query(greatest("core_ingest_in_flight_messages"), "in flight"),
            Query(greatest("core_ingest_stranded_messages"), "of these stranded"),
            colours={"in flight": "blue", "of these stranded": "red"},
            width=8,
        ),
        rows(
            "Which alerts fire",
            "Alerts that fire at this moment, by name. What to do: ops/runbooks, the page of that name.",
            "none",
            Query('sum by (alertname, severity) (ALERTS{alertstate="firing"})'),
            width=8,
        ),
    ]


def _letters() -> list[Panel]:
    return [
        lines(
            "Dead letters, as they come",
            "Dead letters written a second, by reason. A few are normal; a storm means that a provider "
            "changed its format, or that an interpreter is broken. Replays write none.",
            "ops",
            Query(rate("core_ingest_dead_letters_total", "reason"), "{{reason}}"),
            colours={},
            stacked=True,
        ),
        lines(
            "Dead letters that wait, by reason",
            "Dead letters that wait to be replayed or discarded, by reason. They should go down after a "
            "cause was mended and `ingress dead-letters replay` was typed.",
            "short",
            Query(greatest("core_ingest_dead_letters_waiting", "reason"), "{{reason}}"),
            colours={},
            stacked=True,
        ),
    ]


def _door() -> list[Panel]:
    return [
        lines(
            "Requests by status",
            "Requests a second to the paths below /v1, by status. 503 and 429: the API asks callers to "
            "come later. 401 and 403: keys are wrong. 500: a defect.",
            "reqps",
            Query(
                rate("core_api_request_seconds_count", "status", where='route=~"/v1/.*"'),
                "{{status}}",
            ),
            colours={"200": "green", "503": "red", "429": "orange", "500": "dark-red"},
            stacked=True,
            width=8,
        ),
        lines(
            "Time to answer",
            "Time from a request's head to the end of its answer, by route; one in a hundred takes "
            "longer. Ingestion waits for the commit, so it follows the database.",
            "s",
            Query(
                quantile(0.99, "core_api_request_seconds", "route", where='route=~"/v1/.*"'),
                "{{route}}",
            ),
            bounds=Bounds(None, 5),
            colours={},
            width=8,
        ),
        lines(
            "How full the API is",
            "Shares of the API's limits in use: envelopes in the queue for the database, bytes of bodies "
            "in work, connections. At 100 % callers get 503 and keep their messages.",
            "percentunit",
            Query(
                f"{total('core_api_queue_envelopes')} / {total('core_api_queue_limit_envelopes')}",
                "envelopes",
            ),
            Query(
                f"{total('core_api_work_bytes')} / {total('core_api_work_limit_bytes')}", "bytes"
            ),
            Query(
                f"{total('core_api_connections')} / {total('core_api_connections_limit')}",
                "connections",
            ),
            bounds=Bounds(0.8, 1),
            colours={},
            width=8,
        ),
        lines(
            "Refused for pressure",
            "Requests refused by reason (429 and 503), connections that were cut off, and items that "
            "were no envelopes, a second. Steady refusals: the API, or the database behind it, is too small.",
            "ops",
            Query(rate("core_api_refused_requests_total", "reason"), "request: {{reason}}"),
            Query(rate("core_api_refused_connections_total", "reason"), "connection: {{reason}}"),
            Query(rate("core_api_malformed_envelopes_total"), "malformed envelopes"),
            colours={},
            width=12,
        ),
        lines(
            "What shares a transaction",
            "Requests and envelopes that the API commits together, on average. Larger when busy; one "
            "request each while it has time.",
            "short",
            Query(
                f"{rate('core_api_commit_requests_sum')} / {rate('core_api_commit_requests_count')}",
                "requests",
            ),
            Query(
                f"{rate('core_api_commit_envelopes_sum')} / {rate('core_api_commit_envelopes_count')}",
                "envelopes",
            ),
            colours={},
            width=12,
        ),
    ]


def _processes() -> list[Panel]:
    return [
        lines(
            "Processes that answer",
            "Processes whose metrics Prometheus reaches, by job. A line that falls: one is down. See "
            "ops/runbooks/ProcessDown.md.",
            "short",
            Query("sum by (job) (up)", "{{job}}"),
            colours={},
            width=6,
        ),
        lines(
            "Versions that run",
            "Processes by the version of this package. Two versions at a time: an upgrade that has not "
            "come to its end.",
            "short",
            Query("count by (version) (ingress_build_info)", "{{version}}"),
            colours={},
            width=6,
        ),
        lines(
            "Processor",
            "Processor time used a second, by job; 1 is a whole core. A process has one thread that "
            "does most, so about 1 is its most.",
            "none",
            Query(rate("process_cpu_seconds_total", "job"), "{{job}}"),
            colours={},
            width=6,
        ),
        lines(
            "Memory",
            "Resident memory of all processes of a job. It should stay level; where it rises for hours, "
            "something is kept that should not be.",
            "bytes",
            Query(total("process_resident_memory_bytes", "job"), "{{job}}"),
            colours={},
            width=6,
        ),
    ]
