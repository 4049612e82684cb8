"""Database: is it the database that makes messages wait, and which statement."""

from ingress_testbed.observability.composition import Composition, Row
from ingress_testbed.observability.expressions import gained, greatest, quantile, rate, total
from ingress_testbed.observability.panels import (
    Bounds,
    Panel,
    Query,
    lines,
    number,
)

_STATEMENT = "core_ingest_statement_seconds"
_IN_USE = "core_ingest_database_connections"
_LOOKED = "time() - max(core_ingest_ledger_looked_timestamp_seconds > 0)"


def dashboard() -> Composition:
    """Return the dashboard."""
    return Composition(
        "ingress-database",
        "Database",
        "Whether the database makes messages wait, and which statement does.",
        [
            Row("At a glance", _glance()),
            Row("Statements", _statements()),
            Row("Pool", _connections()),
            Row("Batches of the handler", _batches()),
            Row("The ledger", _ledger()),
        ],
    )


def _glance() -> list[Panel]:
    return [
        number(
            "Batch, p99",
            "One batch in a hundred takes the handler longer than this, repetitions included. It is what "
            "core adds to the age of messages.",
            "s",
            Query(quantile(0.99, "core_ingest_batch_seconds")),
            Bounds(1, 5),
        ),
        number(
            "Statement, p99",
            "One statement in a hundred takes longer than this. See "
            "ops/runbooks/DatabaseStatementSlow.md.",
            "s",
            Query(quantile(0.99, _STATEMENT)),
            Bounds(0.5, 1),
        ),
        number(
            "Wait for a connection, p99",
            "One caller in a hundred waits longer than this for a connection of the pool. More than "
            "milliseconds: all are in use. See ops/runbooks/DatabasePoolExhausted.md.",
            "s",
            Query(quantile(0.99, "core_ingest_database_acquire_seconds")),
            Bounds(0.1, 1),
        ),
        number(
            "Connections in use",
            "Connections in use, of the most that the pools open. At 100 % callers wait for each other.",
            "percentunit",
            Query(
                total(_IN_USE, where='state="in_use"')
                + f" / {total('core_ingest_database_connections_limit')}"
            ),
            Bounds(0.8, 1),
        ),
        number(
            "Errors",
            "Errors of the database a second, of any kind. `unavailable` is the one to act on; contention "
            "is tried again by itself. See ops/runbooks/DatabaseUnavailable.md.",
            "ops",
            Query(rate("core_ingest_database_errors_total")),
            Bounds(0.01, 1),
        ),
        number(
            "Ledger looked at",
            "Seconds since the accounts were last computed. Until then a loss would not be seen. See "
            "ops/runbooks/LedgerNotLookedAt.md.",
            "s",
            Query(_LOOKED),
            Bounds(60, 300),
        ),
    ]


def _statements() -> list[Panel]:
    return [
        lines(
            "Time of statements, p99",
            "One run in a hundred takes longer than this, for the ten slowest. One that rises alone has "
            "lost its plan or its index; if all rise, it is the machine or its disk.",
            "s",
            Query(f"topk(10, {quantile(0.99, _STATEMENT, 'statement')})", "{{statement}}"),
            bounds=Bounds(None, 1),
            colours={},
        ),
        lines(
            "Where the database's time goes",
            "Seconds that processes spent in statements a second, for the ten that take most: 1 is one "
            "connection all the time. The thickest layer is the statement to improve.",
            "none",
            Query(f"topk(10, {rate(_STATEMENT + '_sum', 'statement')})", "{{statement}}"),
            colours={},
            stacked=True,
        ),
        lines(
            "Runs of statements",
            "Runs a second, for the ten most frequent. Many runs of few envelopes: batches are small, "
            "and each costs a transaction.",
            "ops",
            Query(f"topk(10, {rate(_STATEMENT + '_count', 'statement')})", "{{statement}}"),
            colours={},
        ),
        lines(
            "Errors by kind",
            "Errors of the database a second. `unavailable`: it is away, and messages wait. `contention`: "
            "transactions met, and are tried again. `data_refused`: an envelope that it does not take is "
            "looked for. `outdated`: `ingress migrate` was not run.",
            "ops",
            Query(rate("core_ingest_database_errors_total", "kind"), "{{kind}}"),
            colours={
                "unavailable": "red",
                "contention": "yellow",
                "data_refused": "orange",
                "outdated": "purple",
            },
            stacked=True,
        ),
    ]


def _connections() -> list[Panel]:
    return [
        lines(
            "Connections",
            "Connections in use and idle of all processes, and the most that their pools open. In use at "
            "the limit: callers wait.",
            "short",
            Query(total(_IN_USE, "state"), "{{state}}"),
            Query(total("core_ingest_database_connections_limit"), "limit"),
            colours={"in_use": "blue", "idle": "light-blue", "limit": "red"},
        ),
        lines(
            "Wait for a connection",
            "Time that a caller waited for a connection of the pool. It is next to nothing while the "
            "pool has some to spare.",
            "s",
            Query(quantile(0.5, "core_ingest_database_acquire_seconds"), "median"),
            Query(quantile(0.99, "core_ingest_database_acquire_seconds"), "p99"),
            bounds=Bounds(None, 1),
        ),
    ]


def _batches() -> list[Panel]:
    return [
        lines(
            "Time of a batch",
            "Time that a batch took in the handler. What it holds besides statements is interpretation, "
            "on the processor.",
            "s",
            Query(quantile(0.5, "core_ingest_batch_seconds"), "median"),
            Query(quantile(0.99, "core_ingest_batch_seconds"), "p99"),
            width=8,
        ),
        lines(
            "Envelopes in a batch",
            "Envelopes that shared a transaction. Larger batches cost less for each envelope, and come "
            "by themselves when there is much to do.",
            "short",
            Query(quantile(0.5, "core_ingest_batch_envelopes"), "median"),
            Query(quantile(0.99, "core_ingest_batch_envelopes"), "p99"),
            width=8,
        ),
        lines(
            "Transactions begun again",
            "Transactions that were begun again: they met another one, or the database refused data, and "
            "the batch was halved to find which. Many of the first: too many writers for the same "
            "vehicles.",
            "short",
            Query(gained("core_ingest_batch_retries_total", "cause"), "{{cause}}"),
            colours={"contention": "yellow", "data": "orange"},
            width=8,
        ),
    ]


def _ledger() -> list[Panel]:
    return [
        lines(
            "Settlements that wait to be folded",
            "Appended rows of settlements that no API process has folded. It is a saw of some thousands; "
            "a slope means that no one folds. See ops/runbooks/SettlementsNotFolded.md.",
            "short",
            Query(greatest("core_ingest_settlement_rows_waiting"), "rows that wait"),
            colours={"rows that wait": "orange"},
            width=8,
        ),
        lines(
            "Settlements folded",
            "Rows of settlements folded into the ledger a second. It follows the traffic, in bursts.",
            "rowsps",
            Query(rate("core_ingest_settlement_rows_folded_total"), "folded"),
            colours={"folded": "green"},
            width=8,
        ),
        lines(
            "Age of the accounts",
            "Seconds since the accounts were last computed, by the API process that is ahead. Rises "
            "where no API process runs, or the database is away.",
            "s",
            Query(_LOOKED, "age"),
            bounds=Bounds(None, 300),
            colours={"age": "blue"},
            width=8,
        ),
    ]
