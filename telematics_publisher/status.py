"""What the publisher's metrics mean, for `ingress status`. Pure, and without the extra's libraries."""

from collections.abc import Iterator

from ingress_runtime.status.queues import HELD_SHARE, Queue, section
from ingress_runtime.status.section import (
    Cause,
    Column,
    Figure,
    Level,
    Section,
    Symptom,
    Table,
    Unit,
    Waiting,
)
from ingress_runtime.status.window import Window
from ingress_runtime.status.words import seconds

SILENT_SECONDS = 60.0
"""A subscribed stream is listed as silent from then on: a parked fleet is silent for hours."""

WAITING_SECONDS = 10.0
"""An oldest record of that age waits; younger ones are on their way."""

STANDING_SHARE = 0.1
"""A standstill for more than this share of the window is spoken of."""

STILL_SHARE = 0.8
"""One for more than this share goes on."""

_HERE = "in the publisher"
_BEFORE = "at the provider"
_MOST_SILENT = 5

_FAULTS = {
    "unreachable": "the other side cannot be reached",
    "deadline": "the other side does not answer in time",
    "unavailable": "the other side asks to come back later: core or its database is overloaded or away",
    "clock_ahead": "core refuses the publisher's clock, which is ahead of the database's",
    "unexpected_answer": "what answers is not core",
    "not_authorised": "the publisher's credentials are refused",
    "everything_refused": "core refuses everything that is sent",
}
"""Why a window stands, by the reasons of the metric that are somebody's fault."""


def contribute(window: Window) -> Iterator[Section]:
    """Yield what the publishers tell. See ingress_runtime.status.section.Contributor."""
    yield _throughput(window)
    yield _streams(window)
    yield _journals(window)
    yield _way(window)
    yield _backpressure(window)


def _throughput(window: Window) -> Section:
    ways = window.rates("publisher_way_records_total", ["way"])
    if not window.total("publisher_way_records_total"):
        ways = window.rates("publisher_records_acknowledged_total", ["transport"])
    return Section(
        "throughput",
        "throughput",
        (
            Figure(
                "frames_per_second",
                "frames",
                window.rate("publisher_frames_received_total"),
                Unit.RATE,
            ),
            Figure(
                "journalled_records_per_second",
                "journalled",
                window.rate("publisher_records_journalled_total"),
                Unit.RATE,
            ),
            *(
                Figure(f"sent_{way}_records_per_second", f"sent by {way}", rate, Unit.RATE)
                for (way,), rate in ways.items()
            ),
        ),
    )


def _streams(window: Window) -> Section:
    states = {
        group: number
        for group, number in window.totals("publisher_streams", ["provider", "state"]).items()
        if number
    }
    silent = sorted(
        _silent(window), key=lambda row: -row[2] if row[2] is not None else float("-inf")
    )
    symptoms: list[Symptom] = []
    everything = sum(states.values())
    off = sum(number for (_, state), number in states.items() if state == "disconnected")
    if off:
        words = f"{off:.0f} of {everything:.0f} streams are disconnected{{since}}"
        symptoms.append(Cause("streams_disconnected", _BEFORE, words))
    if silent:
        words = f"{len(silent)} of {everything:.0f} streams are silent"
        symptoms.append(Cause("streams_silent", _BEFORE, words, Level.NOTICE))
    marks = tuple(
        (place, Level.BAD) for place, (_, state) in enumerate(states) if state == "disconnected"
    )
    tables = [
        Table(
            "by_state",
            (
                Column("provider", "provider"),
                Column("state", "state"),
                Column("streams", "streams", Unit.NUMBER),
            ),
            tuple((*group, number) for group, number in states.items()),
            marks,
        )
    ]
    if silent:
        tables.append(
            Table(
                "silent",
                (
                    Column("provider", "provider"),
                    Column("stream", "silent stream"),
                    Column("silent_seconds", "last frame ago", Unit.SECONDS),
                ),
                tuple(silent[:_MOST_SILENT]),
                tuple((place, Level.NOTICE) for place in range(len(silent))),
            )
        )
    return Section("streams", "streams", (), tuple(tables) if states else (), tuple(symptoms))


def _silent(window: Window) -> Iterator[tuple[str, str, float | None]]:
    """Yield provider, stream and seconds since its last frame; None: none since the start."""
    name = "publisher_stream_last_frame_timestamp_seconds"
    for (provider, stream), last in window.totals(name, ["provider", "stream"]).items():
        if not last:
            yield provider, stream, None
        elif window.now - last > SILENT_SECONDS:
            yield provider, stream, window.now - last


def _journals(window: Window) -> Section:
    pending = window.total("publisher_journal_pending_records")
    used = window.total("publisher_journal_bytes")
    limit = window.total("publisher_journal_limit_bytes")
    oldest = window.most("publisher_journal_oldest_seconds")
    dropped = window.growth("publisher_records_dropped_total")
    symptoms: list[Symptom] = []
    late = oldest is not None and oldest >= WAITING_SECONDS
    if late:
        evidence = f"{pending or 0:,.0f} records, the oldest for {seconds(oldest or 0)}"
        symptoms.append(Waiting(_HERE, evidence))
    for (cause,), number in window.totals("publisher_journals_blocked", ["cause"]).items():
        if number:
            reason = "its disk is full" if cause == "disk_full" else "it is at its limit"
            words = f"a journal takes nothing{{since}}, because {reason}: its streams are not read"
            symptoms.append(Cause(f"journal_blocked_{cause}", _HERE, words))
    if dropped:
        words = f"a full journal gives up its oldest records ({dropped:,.0f} dropped)"
        symptoms.append(Cause("journal_drops", _HERE, words))
    return Section(
        "journals",
        "journals",
        (
            Figure(
                "pending_records",
                "pending",
                pending,
                level=Level.BAD if late else Level.WELL,
            ),
            Figure("oldest_seconds", "oldest", oldest, Unit.SECONDS),
            Figure("bytes", "in use", used, Unit.BYTES),
            Figure("limit_bytes", "of", limit, Unit.BYTES),
            Figure("dropped_records", "dropped", dropped),
        ),
        (),
        tuple(symptoms),
    )


def _way(window: Window) -> Section:
    states = window.state("publisher_breaker_state")
    state = next((one for one in ("open", "half_open", "closed") if one in states), None)
    standing = window.rate("publisher_standstill_seconds_total")
    symptoms: list[Symptom] = []
    if state in {"open", "half_open"}:
        probed = ", being probed" if state == "half_open" else ""
        words = f"Kafka is away (breaker open{{since}}{probed}), traffic goes over HTTP"
        symptoms.append(Cause("breaker", _HERE, words, Level.NOTICE))
    if standing is not None and standing > STANDING_SHARE and not window.since_start:
        symptoms.append(_standstill(standing, window.seconds or 0.0))
    for (cause,), number in window.totals("publisher_senders_stopped", ["cause"]).items():
        if number:
            words = f"{number:.0f} sender stopped for good ({cause}): its log says what to correct"
            symptoms.append(Cause(f"sender_stopped_{cause}", _HERE, words))
    return Section(
        "way",
        "way to core",
        (
            Figure(
                "breaker",
                "breaker",
                state,
                Unit.TEXT,
                Level.NOTICE if state in {"open", "half_open"} else Level.WELL,
            ),
            Figure(
                "failovers_since_start",
                "failovers since start",
                window.total("publisher_failovers_total"),
            ),
            Figure("standstill_share", "standing still", standing, Unit.SHARE),
            Figure(
                "failed_probes",
                "probes failed",
                window.growth("publisher_probes_total", result="failed"),
            ),
        ),
        (),
        tuple(symptoms),
    )


def _standstill(share: float, length: float) -> Cause:
    if share > STILL_SHARE:
        return Cause("standstill", _HERE, "no batch is acknowledged (standstill{since})")
    stood = f"traffic stood still for {seconds(share * length)} of the last {seconds(length)}"
    return Cause("stood_still", _HERE, stood, Level.NOTICE)


def _backpressure(window: Window) -> Section:
    held: dict[str, dict[str, float]] = {"intake": {}, "journal": {}, "window": {}}
    name = "publisher_backpressure_seconds_total"
    for (queue, reason), share in window.rates(name, ["queue", "reason"]).items():
        held.setdefault(queue, {})[reason] = share
    queues = [
        Queue("publisher intake", held=held["intake"]),
        Queue(
            "publisher journal",
            window.total("publisher_journal_bytes"),
            window.total("publisher_journal_limit_bytes"),
            held["journal"],
            sized=True,
        ),
        Queue(
            "publisher window",
            window.total("publisher_batches_in_flight"),
            window.total("publisher_batches_in_flight_limit"),
            held["window"],
        ),
    ]
    symptoms = [
        Cause(f"window_{reason}", _HERE, f"{_FAULTS[reason]} (attempts fail{{since}})")
        for reason, share in held["window"].items()
        if share > HELD_SHARE and reason in _FAULTS and not window.since_start
    ]
    return section([one for one in queues if one.used is not None or one.held], symptoms)
