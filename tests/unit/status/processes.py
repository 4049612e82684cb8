"""What three processes say in the middle of an outage of Kafka, and ten seconds earlier."""

from collections.abc import Mapping

NOW = 1_764_000_000.0
SECONDS = 10.0
STARTED = NOW - 3_600


def histogram(name: str, labels: str, counts: Mapping[str, int], total: float) -> str:
    """Return the lines of one series of a histogram; counts are cumulative, by upper bound."""
    lines = [
        f'{name}_bucket{{{labels}{"," if labels else ""}le="{bound}"}} {count}'
        for bound, count in counts.items()
    ]
    number = list(counts.values())[-1]
    return "\n".join(
        [*lines, f"{name}_sum{{{labels}}} {total}", f"{name}_count{{{labels}}} {number}"]
    )


def enum(name: str, state: str, *others: str) -> str:
    """Return the lines of an Enum that is in `state`."""
    lines = [f'{name}{{{name}="{state}"}} 1']
    return "\n".join(lines + [f'{name}{{{name}="{other}"}} 0' for other in others])


def publisher(*, later: bool, breaker: str = "open", oldest: float = 14.0) -> str:
    """Return what the publisher serves."""
    others = [one for one in ("closed", "half_open", "open") if one != breaker]
    return f"""
process_start_time_seconds {STARTED}
publisher_frames_received_total{{provider="viriciti"}} {4_000 if later else 2_000}
publisher_records_journalled_total {4_000 if later else 2_000}
publisher_way_records_total{{way="http"}} {1_500 if later else 0}
publisher_way_records_total{{way="kafka"}} 2000
publisher_streams{{provider="viriciti",state="subscribed"}} 2
publisher_streams{{provider="viriciti",state="disconnected"}} 0
publisher_stream_last_frame_timestamp_seconds{{provider="viriciti",stream="buses"}} {NOW - 1}
publisher_stream_last_frame_timestamp_seconds{{provider="viriciti",stream="trucks"}} {NOW - 200}
publisher_journal_pending_records 412
publisher_journal_bytes 122880
publisher_journal_limit_bytes 4294967296
publisher_journal_oldest_seconds {oldest}
publisher_records_dropped_total 0
publisher_failovers_total 1
publisher_probes_total{{result="failed"}} {2 if later else 0}
publisher_standstill_seconds_total {0.5 if later else 0.0}
publisher_batches_in_flight 3
publisher_batches_in_flight_limit 3
publisher_backpressure_seconds_total{{queue="intake",reason="journal"}} 0
publisher_backpressure_seconds_total{{queue="window",reason="full"}} {4.0 if later else 0.0}
publisher_backpressure_seconds_total{{queue="window",reason="checkpoint"}} 0
{enum("publisher_breaker_state", breaker, *others)}
"""


def core(*, later: bool) -> str:
    """Return what the API serves."""
    number = 2_000 if later else 500
    label = 'door="http",provider="viriciti"'
    hops = {
        "provider": {"0.05": number, "1.0": number, "10.0": number, "+Inf": number},
        "publisher": {"0.05": 500, "1.0": 500, "10.0": number, "+Inf": number},
        "transport": {"0.05": number, "1.0": number, "10.0": number, "+Inf": number},
        "core": {"0.05": 0, "1.0": number, "10.0": number, "+Inf": number},
    }
    series = [
        histogram("core_ingest_hop_seconds", f'{label},hop="{hop}"', counts, 1.0)
        for hop, counts in hops.items()
    ]
    statements = [
        histogram(
            "core_ingest_statement_seconds",
            f'statement="{name}"',
            {"0.01": number, "+Inf": number},
            seconds * (4 if later else 1),
        )
        for name, seconds in (("ingest.lock_assets", 0.1), ("commit", 0.4))
    ]
    lines = "\n".join([*series, *statements])
    return f"""
process_start_time_seconds {STARTED}
{lines}
core_ingest_envelopes_total{{{label},outcome="accepted"}} {number - 100}
core_ingest_envelopes_total{{{label},outcome="dead_lettered"}} {100 if later else 0}
core_ingest_dead_letters_total{{reason="unknown_version"}} {100 if later else 0}
core_ingest_dead_letters_waiting{{reason="unknown_version"}} 120
core_ingest_unaccounted_messages 0
core_ingest_stranded_messages 0
core_ingest_in_flight_messages 412
core_ingest_ledger_looked_timestamp_seconds {NOW - 8}
core_ingest_settlement_rows_waiting 6
core_ingest_database_connections{{state="idle"}} 14
core_ingest_database_connections{{state="in_use"}} 2
core_ingest_database_connections_limit 16
core_api_queue_envelopes 17
core_api_queue_limit_envelopes 20000
core_api_work_bytes 9011
core_api_work_limit_bytes 67108864
core_api_connections 5
core_api_connections_limit 800
# TYPE core_api_refused_requests counter
"""


def consumer(*, later: bool) -> str:
    """Return what the consumer serves."""
    return f"""
process_start_time_seconds {STARTED}
core_consumer_lag_records{{partition="0"}} 0
core_consumer_lag_records{{partition="1"}} 41
core_consumer_lag_seconds{{partition="0"}} 0
core_consumer_lag_seconds{{partition="1"}} 0.27
core_consumer_offset_resets_total{{reason="back"}} 0
core_consumer_held_seconds_total{{reason="retry"}} {0.2 if later else 0.0}
{enum("core_consumer_state", "flowing", "slow", "retry", "breaker", "closing")}
"""
