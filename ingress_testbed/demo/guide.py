"""What the demo says beside its view: how to look by oneself, one frame's way, the report. Pure."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ingress_testbed.demo.core_client import CoreClient
from ingress_testbed.demo.installation import Installation
from ingress_testbed.demo.journey import Journey
from ingress_testbed.demo.report import Report
from ingress_testbed.demo.view import WIDTH, lag, size

_A_DAY = timedelta(days=1)
_HOP_WIDTH = 9
_DELAY_WIDTH = 9
_MIDDLE_WIDTH = WIDTH - _HOP_WIDTH - _DELAY_WIDTH - 4


def places(installation: Installation) -> Iterator[tuple[str, str]]:
    """Yield what runs where."""
    yield "provider", f"{installation.provider_url} (simulated)"
    yield "publisher", ", ".join(installation.metrics)
    if (queue := installation.queue) is not None:
        where = f"{queue.cluster.description} at {queue.cluster.bootstrap}"
        yield "kafka", f"{where}, topic {queue.topic}"
    yield "core", installation.api_url


def curl_lines(core: CoreClient, vehicle: dict[str, Any]) -> Iterator[str]:
    """Yield commands that read what core has, whole and ready to be copied."""
    id_ = vehicle["vehicle"]
    signal = max(vehicle["signals"], key=lambda one: one["observed"])
    observed = datetime.fromisoformat(signal["observed"])
    span = f"from={_instant(observed - _A_DAY)}&to={_instant(observed + _A_DAY)}"
    yield "look for yourself:"
    for path in (
        "/vehicles?limit=3",
        f"/vehicles/{id_}",
        f"/vehicles/{id_}/history?signal={signal['signal']}&{span}&limit=5",
        "/accounting",
    ):
        yield f"  curl -s -H 'Authorization: Bearer {core.key}' '{core.base}{path}'"


def queue_lines(installation: Installation) -> Iterator[str]:
    """Yield commands that look at the topic and at who reads it, where there is one."""
    if installation.queue is None:
        return
    variables = " ".join(f"{name}={value}" for name, value in installation.queue.variables.items())
    ingress = shlex.quote(str(Path(sys.executable).with_name("ingress")))
    yield f"  {variables} {ingress} topics check"
    yield f"  curl -s {installation.consumer_metrics} | grep core_consumer_"


def journey_table(journey: Journey, *, timely: bool) -> RenderableType:
    """Return one frame's way, hop by hop. `timely`: the provider stamped it when it was sent."""
    settled, row = journey.settled, journey.row
    table = Table.grid(padding=(0, 2))
    table.add_column(width=_HOP_WIDTH, no_wrap=True)
    table.add_column(width=_MIDDLE_WIDTH, overflow="fold")
    table.add_column(width=_DELAY_WIDTH, no_wrap=True, justify="right")
    table.add_row("provider", Text(_broken(journey.data.decode()), style="cyan"), "")
    table.add_row(
        "publisher",
        f"{settled.publisher}, sequence {settled.sequence:,}\nepoch {settled.epoch}\nid {journey.id}",
        f"+{lag(journey.provider_to_edge)}" if timely else "replayed",
    )
    if (place := journey.place) is not None:
        where = f"partition {place.partition}, offset {place.offset:,}"
        table.add_row("Kafka", where, f"+{lag(journey.edge_to_queue)}")
    table.add_row("core", Text("accepted", style="green"), f"+{lag(journey.to_core)}")
    table.add_row(
        "Postgres",
        f"{journey.vehicle} {journey.signal}\n= {journey.value}, quality {row['quality']}\n"
        f"observed {_instant(row['observed'])}\nreceived {_instant(row['received'])}",
        "",
    )
    table.add_row("API", f"serves {journey.served}", f"+{lag(journey.read_seconds)}")
    return Group(Text("one frame, hop by hop", style="bold"), table)


def report_table(report: Report) -> RenderableType:
    """Return the report for people."""
    messages = {name: f"{count:,}" for name, count in report.outcomes().items() if count}
    left = {
        "received": f"{report.received:,}",
        **{f"  {name}": count for name, count in messages.items()},
        "  in flight": f"{report.in_flight:,}",
        "  unaccounted": f"{report.unaccounted:,}",
        "control messages": f"{report.control:,}",
    }
    right = {
        "facts stored": f"{report.facts_stored:,}",
        "snapshot mismatches": f"{report.snapshot_mismatches:,}",
        **_ways(report),
        "seconds": f"{report.seconds:,.1f}",
        **{f"peak RSS {name}": size(peak) for name, peak in report.peak_rss_bytes.items()},
    }
    table = Table.grid(padding=(0, 2))
    for side in ("left", "right", "left", "right"):
        table.add_column(no_wrap=True, justify="right" if side == "right" else "left")
    for one, other in zip_longest(left.items(), right.items(), fillvalue=("", "")):
        table.add_row(*one, *other)
    return Group(Text("report", style="bold"), table)


def _ways(report: Report) -> dict[str, str]:
    """Return what is told of the ways to core where there are two."""
    if not report.via_kafka:
        return {}
    return {
        "via Kafka": f"{report.via_kafka:,}",
        "via HTTP": f"{report.via_http:,}",
        "failovers": f"{report.failovers:,}",
        "standstill, seconds": f"{report.standstill_seconds:,.1f}",
    }


def conclusion(differences: Sequence[str]) -> RenderableType:
    """Return the last word: all is well, or what is not."""
    if not differences:
        return Text("every message is accounted for, and the snapshot is right", style="bold green")
    return Text(
        "\n".join(("this is not right:", *(f"  {one}" for one in differences))), style="red"
    )


def _broken(data: str) -> str:
    """Return JSON in lines that fit, broken after commas."""
    lines = [""]
    for part in data.replace(",", ",\0").split("\0"):
        if len(lines[-1]) + len(part) > _MIDDLE_WIDTH:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
