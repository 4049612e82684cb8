"""What is measured: envelopes as a publisher sends them, and the rows that they become."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from math import nan
from pathlib import Path
from typing import TypeAlias
from uuid import UUID, uuid4

from ingress_contracts.content_id import content_id
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import PROVIDER_MESSAGE
from ingress_testbed.recordings import Frame, open_recording
from ingress_testbed.simulator.protocol import message

WORKSPACE = "bench"
PUBLISHER = "bench-edge"
HISTORY = ("workspace", "asset", "signal", "observed", "received", "num", "lon", "quality", "text")

Row: TypeAlias = tuple[int, int, int, datetime, datetime, float, float, int, str]
"""A row of the history, in the order of HISTORY."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LABELS = ("soc", "odo", "speed", "voltage", "current")


@dataclass(frozen=True, slots=True)
class Workload:
    """A name for people, the messages in the order in which they arrive, and their rows."""

    name: str
    envelopes: list[Envelope]
    rows: list[Row]


def bus_day(recordings: Path) -> Workload:
    """Return the recorded bus day: one asset, in time order."""
    frames = open_recording(recordings / "viriciti-bus-day.jsonl.gz").frames()
    return _workload("one bus, a recorded day", frames)


def fleet(vehicles: int = 2_000, readings: int = 120_000, seed: int = 7) -> Workload:
    """Return a chatty fleet: each second some vehicles report one label, in random turn."""
    return _workload(f"{vehicles:,} vehicles", _fleet_frames(vehicles, readings, seed))


def _fleet_frames(vehicles: int, readings: int, seed: int) -> Iterator[Frame]:
    dice = random.Random(seed)
    start = 1_767_225_600_000
    sent = [0] * vehicles
    for number in range(readings):
        vehicle = dice.randrange(vehicles)
        label = _LABELS[sent[vehicle] % len(_LABELS)]
        sent[vehicle] += 1
        value = f"{dice.uniform(0, 100):.2f}"
        yield Frame(f"bus-{vehicle:04}", label, value, start + number * 5)


def _workload(name: str, frames: Iterable[Frame]) -> Workload:
    epoch, received = uuid4(), datetime.now(UTC)
    assets: dict[str, int] = {}
    signals: dict[str, int] = {}
    envelopes, rows = [], []
    for sequence, frame in zip(count(), frames, strict=False):
        envelopes.append(_envelope(frame, epoch, sequence, received))
        asset = assets.setdefault(frame.vid, len(assets) + 1)
        signal = signals.setdefault(frame.label, len(signals) + 1)
        observed = _EPOCH + timedelta(milliseconds=frame.time)
        rows.append((1, asset, signal, observed, received, float(frame.value), nan, 0, ""))
    return Workload(name, envelopes, rows)


def _envelope(frame: Frame, epoch: UUID, sequence: int, received: datetime) -> Envelope:
    data = message(frame)
    return Envelope(
        id=str(content_id(PROVIDER_MESSAGE, "viriciti", WORKSPACE, data)),
        source=f"/viriciti/{WORKSPACE}/bench",
        type=PROVIDER_MESSAGE,
        subject=frame.vid,
        provider="viriciti",
        workspaceid=WORKSPACE,
        receivedtime=received,
        partitionkey=frame.vid,
        publisherid=PUBLISHER,
        publisherepoch=epoch,
        sequence=sequence,
        data=data,
    )
