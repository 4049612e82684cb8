"""What each room makes of its metrics: a table of single facts and the words for them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingress_runtime.status.lookout import contributors
from ingress_runtime.status.reading import parse
from ingress_runtime.status.section import merged
from ingress_runtime.status.verdict import verdict
from ingress_runtime.status.window import Span, Window
from ingress_testbed.metrics_document import definitions
from tests.unit.status.processes import NOW, enum, histogram

ROOT = Path(__file__).parents[3]
ROOMS = ("telematics_publisher", "core_ingest", "core_consumer", "core_api")
STATES = ("flowing", "slow", "retry", "breaker", "closing")


def said(before: str, after: str, *, since_start: bool = False) -> str:
    """Return the verdict on one process, over ten seconds."""
    earlier = None if since_start else parse(before, NOW - 10)
    window = Window([Span(earlier, parse(after, NOW))], NOW, since_start=since_start)
    sections = merged(part for one in contributors() for part in one(window))
    return verdict([one for each in reversed(sections) for one in each.symptoms]).words


def hop(name: str, number: int, door: str = "http") -> str:
    labels = f'hop="{name}",door="{door}"'
    return histogram(
        "core_ingest_hop_seconds", labels, {"1.0": 0, "3.0": number, "+Inf": number}, 1.0
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("", "", "All flows."),
        (
            "",
            enum("publisher_breaker_state", "half_open", "closed", "open") + "\n",
            "Kafka is away (breaker open, being probed), traffic goes over HTTP.",
        ),
        (
            "",
            "publisher_journal_oldest_seconds 60\npublisher_journal_pending_records 9000\n",
            "Messages wait in the publisher (9,000 records, the oldest for 1 min).",
        ),
        (
            'publisher_backpressure_seconds_total{queue="window",reason="unreachable"} 1\n',
            (
                'publisher_backpressure_seconds_total{queue="window",reason="unreachable"} 11\n'
                "publisher_journal_oldest_seconds 60\npublisher_journal_pending_records 9000\n"
            ),
            (
                "Messages wait in the publisher (9,000 records, the oldest for 1 min): "
                "the other side cannot be reached (attempts fail)."
            ),
        ),
        (
            (
                'publisher_records_acknowledged_total{transport="kafka"} 100\n'
                'core_ingest_envelopes_total{outcome="accepted"} 90\n'
            ),
            (
                'publisher_records_acknowledged_total{transport="kafka"} 300\n'
                'core_ingest_envelopes_total{outcome="accepted"} 90\n'
            ),
            "Messages wait in the topic (200 records were sent, core committed none).",
        ),
        (
            "",
            'publisher_journals_blocked{cause="disk_full"} 1\n',
            "A journal takes nothing, because its disk is full: its streams are not read.",
        ),
        (
            "publisher_records_dropped_total 0\n",
            "publisher_records_dropped_total 30\n",
            "A full journal gives up its oldest records (30 dropped).",
        ),
        (
            "publisher_standstill_seconds_total 0\n",
            "publisher_standstill_seconds_total 9\n",
            "No batch is acknowledged (standstill).",
        ),
        (
            "publisher_standstill_seconds_total 0\n",
            "publisher_standstill_seconds_total 1.5\n",
            "Traffic stood still for 1.5 s of the last 10 s.",
        ),
        (
            "",
            'publisher_senders_stopped{cause="not_authorised"} 1\n',
            "1 sender stopped for good (not_authorised): its log says what to correct.",
        ),
        (
            "",
            (
                'publisher_streams{provider="viriciti",state="disconnected"} 1\n'
                'publisher_streams{provider="viriciti",state="subscribed"} 2\n'
            ),
            "1 of 3 streams are disconnected.",
        ),
        (
            "",
            (
                'publisher_streams{provider="viriciti",state="subscribed"} 2\n'
                'publisher_stream_last_frame_timestamp_seconds{provider="viriciti",stream="a"} 0\n'
            ),
            "1 of 2 streams are silent.",
        ),
        (
            "",
            'core_consumer_lag_records{partition="0"} 500\n'
            'core_consumer_lag_seconds{partition="0"} 75\n'
            + enum("core_consumer_state", "retry", *(one for one in STATES if one != "retry"))
            + "\n",
            (
                "Messages wait in the topic (500 records, the oldest for 1 min 15 s): the consumer "
                "tries a batch again and again: the database is away, or refuses it."
            ),
        ),
        (
            'core_consumer_offset_resets_total{reason="back"} 0\n',
            'core_consumer_offset_resets_total{reason="back"} 1\n',
            "Partitions are not as the consumer left them: records may be lost, see its log.",
        ),
        (
            'core_api_refused_requests_total{reason="envelopes"} 0\n',
            'core_api_refused_requests_total{reason="envelopes"} 30\n',
            "Core refuses requests for pressure (envelopes, 3.0/s).",
        ),
        (
            'core_ingest_database_errors_total{kind="unavailable"} 1\n',
            'core_ingest_database_errors_total{kind="unavailable"} 9\n',
            "The database is away or refuses to answer (core waits for it; nothing is lost).",
        ),
        (
            "core_ingest_database_acquire_seconds_sum 0\n",
            (
                "core_ingest_database_acquire_seconds_sum 40\n"
                'core_ingest_database_connections{state="in_use"} 16\n'
                "core_ingest_database_connections_limit 16\n"
            ),
            "All connections to the database are in use.",
        ),
        (
            'core_ingest_dead_letters_total{reason="future"} 0\n',
            'core_ingest_dead_letters_total{reason="future"} 20\n',
            "Core writes dead letters (2.0/s, mostly future): `ingress dead-letters list`.",
        ),
        (
            "",
            "core_ingest_unaccounted_messages 3\ncore_ingest_stranded_messages 0\n",
            "3 messages are unaccounted for: they are lost, or a ledger is wrong.",
        ),
        (
            "",
            "core_ingest_stranded_messages 1200\n",
            "1,200 messages are stranded in journals that nobody sends from.",
        ),
        (
            "",
            f"core_ingest_ledger_looked_timestamp_seconds {NOW - 600}\n",
            "The accounting is 10 min old, as core cannot compute it.",
        ),
        (
            hop("transport", 0) + "\n",
            hop("transport", 8) + "\n",
            "Messages wait on the way to core (median 2 s at this hop).",
        ),
        (
            hop("transport", 0, "kafka") + "\n",
            hop("transport", 8, "kafka") + '\ncore_consumer_lag_seconds{partition="0"} 15\n',
            "Messages wait in the topic (0 records, the oldest for 15 s; median 2 s at this hop).",
        ),
        (
            hop("provider", 0) + "\n",
            hop("provider", 8) + "\n",
            "Readings are old when the provider hands them over (median 2 s).",
        ),
    ],
)
def test_a_fact_becomes_words(before: str, after: str, words: str) -> None:
    assert said(before, after) == words


@pytest.mark.parametrize(
    "text",
    [
        'core_api_refused_requests_total{reason="envelopes"} 30\n',
        'core_ingest_database_errors_total{kind="unavailable"} 9\n',
        'core_ingest_dead_letters_total{reason="future"} 20\n',
        'core_consumer_offset_resets_total{reason="back"} 1\n',
        "publisher_standstill_seconds_total 9\nprocess_start_time_seconds 1763999990\n",
        hop("core", 8) + "\n",
    ],
)
def test_what_was_wrong_some_time_since_the_start_is_not_wrong_now(text: str) -> None:
    assert said("", text, since_start=True) == "All flows."


def test_the_rooms_contribute_without_the_libraries_of_any_extra() -> None:
    program = (
        "import sys; from ingress_runtime.status.lookout import contributors; "
        "assert len(contributors()) >= 4; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    extras = {"aiokafka", "asyncpg", "fastapi", "httpx", "rich", "websockets"}
    assert extras.isdisjoint(loaded)


@pytest.mark.parametrize("room", ROOMS)
def test_every_metric_that_is_read_is_one_that_the_code_defines(room: str) -> None:
    source = (ROOT / room / "status.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"f?((?:publisher|core_(?:ingest|api|consumer))_[a-z_]+)"', source))
    defined = {one.name for one in definitions()}
    ends = ("_count", "_sum", "_bucket", "")
    unknown = {name for name in read if not any(name.removesuffix(end) in defined for end in ends)}
    assert read
    assert unknown == set()
