"""What the heart's metrics mean, for `ingress status`. Pure, and without the extra's libraries."""

from collections.abc import Iterator

from ingress_runtime.status.queues import Queue, section
from ingress_runtime.status.section import (
    Cause,
    Column,
    Figure,
    Level,
    Section,
    Symptom,
    Table,
    Unit,
    Value,
    Waiting,
)
from ingress_runtime.status.window import Window
from ingress_runtime.status.words import seconds

LONG_SECONDS = 1.0
"""Messages wait at a hop whose median is longer."""

STALE_SECONDS = 120.0
"""The ledger's gauges are spoken of as old when nobody has computed them for so long."""

_HOP = "core_ingest_hop_seconds"
_HOPS = {
    "provider": "at the provider",  # its own clock, and what vehicles keep while they are offline
    "publisher": "in the publisher",
    "transport": "on the way to core",
    "core": "in core",
}
_HERE = "in core"
_TOPIC = "in the topic"
_SLOWEST = 3
_MOST_REASONS = 5
_EXHAUSTED = 0.05


def contribute(window: Window) -> Iterator[Section]:
    """Yield what core's processes tell. See ingress_runtime.status.section.Contributor."""
    yield _throughput(window)
    yield _hops(window)
    yield _dead_letters(window)
    yield _accounting(window)
    yield _database(window)
    yield _pool(window)


def _throughput(window: Window) -> Section:
    name = "core_ingest_envelopes_total"
    outcomes = [
        Figure(f"{outcome}_envelopes_per_second", outcome.replace("_", " "), rate, Unit.RATE)
        for (outcome,), rate in window.rates(name, ["outcome"]).items()
        if rate
    ]
    stored = Figure("envelopes_per_second", "into core", window.rate(name), Unit.RATE)
    return Section("throughput", "throughput", (stored, *outcomes), (), tuple(_stuck(window)))


def _stuck(window: Window) -> Iterator[Symptom]:
    """Yield that nothing comes through: what waits before a consumer that is gone, nobody measures."""
    sent = window.growth("publisher_records_acknowledged_total")
    long = (window.seconds or 0.0) >= LONG_SECONDS and not window.since_start
    if sent and long and window.growth("core_ingest_envelopes_total") == 0:
        yield Waiting(_TOPIC, f"{sent:,.0f} records were sent, core committed none")


def _hops(window: Window) -> Section:
    rows: list[tuple[Value, ...]] = []
    medians: dict[str, float] = {}
    for hop in _HOPS:
        number = window.growth(f"{_HOP}_count", hop=hop)
        median = window.quantile(0.5, _HOP, hop=hop)
        if median is not None:
            medians[hop] = median
        rows.append((hop, number, median, window.quantile(0.99, _HOP, hop=hop)))
    for title, name in (
        ("receipt to commit", "core_ingest_delivery_seconds"),
        ("provider to commit", "core_ingest_freshness_seconds"),
    ):
        quantiles = [window.quantile(q, name) for q in (0.5, 0.99)]
        rows.append((title, window.growth(f"{name}_count"), *quantiles))
    worst = max(medians, key=lambda hop: medians[hop], default=None)
    levels = tuple(
        (list(_HOPS).index(hop), Level.NOTICE if hop == "provider" else Level.BAD)
        for hop, median in medians.items()
        if median >= LONG_SECONDS
    )
    symptoms = () if window.since_start else tuple(_long(window))
    marked = [(*row, "longest" if row[0] == worst else "") for row in rows]
    table = Table(
        "hops",
        (
            Column("hop", "hop"),
            Column("messages", "messages", Unit.NUMBER),
            Column("median_seconds", "median", Unit.SECONDS),
            Column("p99_seconds", "p99", Unit.SECONDS),
            Column("note", ""),
        ),
        tuple(marked),
        levels,
    )
    return Section("hops", "lag by hop", (), (table,), symptoms)


def _long(window: Window) -> Iterator[Symptom]:
    """Yield where messages waited. Over Kafka, the way to core is the topic."""
    median = window.quantile(0.5, _HOP, hop="provider")
    if median is not None and median >= LONG_SECONDS:
        words = f"readings are old when the provider hands them over (median {seconds(median)})"
        yield Cause("old_readings", _HOPS["provider"], words, Level.NOTICE)
    for place, labels in (
        (_HOPS["publisher"], {"hop": "publisher"}),
        (_HOPS["transport"], {"hop": "transport", "door": "http"}),
        (_TOPIC, {"hop": "transport", "door": "kafka"}),
        (_HOPS["core"], {"hop": "core"}),
    ):
        median = window.quantile(0.5, _HOP, **labels)
        if median is not None and median >= LONG_SECONDS:
            yield Waiting(place, f"median {seconds(median)} at this hop")


def _dead_letters(window: Window) -> Section:
    rates = window.rates("core_ingest_dead_letters_total", ["reason"])
    waiting = window.maxima("core_ingest_dead_letters_waiting", ["reason"])
    rate = window.rate("core_ingest_dead_letters_total")
    reasons = sorted(
        {reason for (reason,), number in [*rates.items(), *waiting.items()] if number},
        key=lambda reason: -(waiting.get((reason,), 0.0) + rates.get((reason,), 0.0)),
    )
    symptoms: list[Symptom] = []
    if rate and not window.since_start:
        most = max(rates, key=lambda reason: rates[reason])[0]
        words = (
            f"core writes dead letters ({rate:,.1f}/s, mostly {most}): `ingress dead-letters list`"
        )
        symptoms.append(Cause("dead_letters", "among dead letters", words, Level.NOTICE))
    table = Table(
        "by_reason",
        (
            Column("reason", "reason"),
            Column("per_second", "new", Unit.RATE),
            Column("waiting", "waiting", Unit.NUMBER),
        ),
        tuple(
            (reason, rates.get((reason,)), waiting.get((reason,)))
            for reason in reasons[:_MOST_REASONS]
        ),
    )
    return Section(
        "dead_letters",
        "dead letters",
        (
            Figure("per_second", "new", rate, Unit.RATE, Level.NOTICE if rate else Level.WELL),
            Figure("waiting", "waiting", sum(waiting.values()) if waiting else None),
        ),
        (table,) if reasons else (),
        tuple(symptoms),
    )


def _accounting(window: Window) -> Section:
    unaccounted = window.most("core_ingest_unaccounted_messages")
    stranded = window.most("core_ingest_stranded_messages")
    looked = window.most("core_ingest_ledger_looked_timestamp_seconds")
    age = window.now - looked if looked else None
    symptoms: list[Symptom] = []
    if unaccounted:
        words = (
            f"{unaccounted:,.0f} messages are unaccounted for: they are lost, or a ledger is wrong"
        )
        symptoms.append(Cause("unaccounted", "in the accounting", words))
    if stranded:
        words = f"{stranded:,.0f} messages are stranded in journals that nobody sends from"
        symptoms.append(Cause("stranded", "in the accounting", words))
    if age is not None and age > STALE_SECONDS:
        words = f"the accounting is {seconds(age)} old, as core cannot compute it"
        symptoms.append(Cause("ledger_stale", "in the accounting", words, Level.NOTICE))
    return Section(
        "accounting",
        "accounting",
        (
            Figure(
                "stored_since_start",
                "into core since start",
                window.total("core_ingest_envelopes_total"),
            ),
            Figure("in_flight", "in flight", window.most("core_ingest_in_flight_messages")),
            Figure("stranded", "stranded", stranded, level=Level.BAD if stranded else Level.WELL),
            Figure(
                "unaccounted",
                "unaccounted",
                unaccounted,
                level=Level.BAD if unaccounted else Level.WELL,
            ),
            Figure("age_seconds", "computed ago", age, Unit.SECONDS),
            Figure(
                "settlement_rows_waiting",
                "settlements to fold",
                window.most("core_ingest_settlement_rows_waiting"),
            ),
        ),
        (),
        tuple(symptoms),
    )


def _database(window: Window) -> Section:
    errors = {
        kind: rate
        for (kind,), rate in window.rates("core_ingest_database_errors_total", ["kind"]).items()
        if rate
    }
    symptoms: list[Symptom] = []
    if "unavailable" in errors and not window.since_start:
        words = "the database is away or refuses to answer (core waits for it; nothing is lost)"
        symptoms.append(Cause("database_unavailable", _HERE, words))
    statements = sorted(_statements(window), key=lambda row: -row[1])[:_SLOWEST]
    table = Table(
        "slowest",
        (
            Column("statement", "statement"),
            Column("share", "of the time", Unit.SHARE),
            Column("mean_seconds", "mean", Unit.SECONDS),
            Column("p99_seconds", "p99", Unit.SECONDS),
        ),
        tuple(statements),
    )
    acquire = "core_ingest_database_acquire_seconds"
    return Section(
        "database",
        "database",
        (
            Figure(
                "in_use_connections",
                "in use",
                window.total("core_ingest_database_connections", state="in_use"),
            ),
            Figure(
                "connections_limit",
                "of",
                window.total("core_ingest_database_connections_limit"),
            ),
            Figure(
                "acquire_p99_seconds", "waits p99", window.quantile(0.99, acquire), Unit.SECONDS
            ),
            *(
                Figure(f"{kind}_errors_per_second", f"{kind} errors", rate, Unit.RATE, Level.NOTICE)
                for kind, rate in errors.items()
            ),
        ),
        (table,) if statements else (),
        tuple(symptoms),
    )


def _statements(window: Window) -> Iterator[tuple[str, float, float, float | None]]:
    """Yield name, seconds spent in it each second, mean and p99 of statements that ran."""
    name = "core_ingest_statement_seconds"
    for (statement,), share in window.rates(f"{name}_sum", ["statement"]).items():
        mean = window.mean(name, statement=statement)
        if mean is not None:
            yield statement, share, mean, window.quantile(0.99, name, statement=statement)


def _pool(window: Window) -> Section:
    used = window.total("core_ingest_database_connections", state="in_use")
    limit = window.total("core_ingest_database_connections_limit")
    waits = window.rate("core_ingest_database_acquire_seconds_sum")
    queue = Queue("core connections", used, limit, {} if waits is None else {"pool": waits})
    symptoms: list[Symptom] = []
    if used is not None and limit and used >= limit and (waits or 0) > _EXHAUSTED:
        words = "all connections to the database are in use"
        symptoms.append(Cause("pool_exhausted", _HERE, words, Level.NOTICE))
    return section([queue] if used is not None else [], symptoms)
