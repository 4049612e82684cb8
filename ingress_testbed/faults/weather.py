"""A trial of outages: the database fails in the middle of a replay, and comes back."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from ingress_contracts.http import BATCH, encode_batch
from ingress_testbed.faults.crashes import settled
from ingress_testbed.faults.design import API, PROBE, PUBLISHER, PUBLISHER_ID, Design
from ingress_testbed.faults.outages import Database, Outage
from ingress_testbed.faults.plant import Plant
from ingress_testbed.faults.planting import planted
from ingress_testbed.faults.proxy import Proxy
from ingress_testbed.faults.verdict import Ending, ending_of
from ingress_testbed.servers.postgres import OwnPostgres
from telematics_publisher.clock import wall_clock
from telematics_publisher.records import Envelopes, Record, Stored, provider_lane

_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.1
_PILE = 500
_UNAVAILABLE = 503
_ACKNOWLEDGED = "publisher_records_acknowledged_total"
_PENDING = "publisher_journal_pending_records"
_FRAME = (
    b'{"type":"vehicles","payload":{"vid":"probe","label":"odo","value":1,"time":1700000000000}}'
)


@dataclass(frozen=True, slots=True)
class Weathered:
    """What was seen: the answer that a caller got in the outage, and by how much the journal grew."""

    refused: httpx.Response
    piled_up: float
    ending: Ending


async def weather(
    design: Design, outage: Outage, directory: Path, server: OwnPostgres
) -> Weathered:
    """Replay with an outage in the middle, which lasts until it is felt, and take stock.

    `design` must be paced so that the replay outlasts the outage. Raises TimeoutError where the
    outage is not felt, ProcessEnded where the system does not recover.
    """
    address = urlsplit(server.url)
    road = Proxy(address.hostname or "", address.port or 0)
    async with (
        road.serving(),
        planted(design, directory, server.url, road) as plant,
    ):
        await plant.start(API)
        await plant.start(PUBLISHER)
        async with asyncio.timeout(_SECONDS):
            before = await _metrics_when(plant, lambda seen: seen.get(_ACKNOWLEDGED, 0) > 0)
        async with outage(Database(server, road)), asyncio.timeout(_SECONDS):
            refused = await _refused(plant)
            pile = before[_PENDING] + _PILE
            within = await _metrics_when(plant, lambda seen: seen[_PENDING] >= pile)
        await settled(plant, plant.frames)
        return Weathered(refused, within[_PENDING] - before[_PENDING], await ending_of(plant))


async def _refused(plant: Plant) -> httpx.Response:
    """Send messages of our own until one is answered with 503."""
    envelopes = Envelopes(PROBE, PUBLISHER_ID)
    lane = provider_lane("viriciti", f"/viriciti/{PROBE}/by-hand", timestamped=True)
    epoch, sequence = uuid4(), 0
    while True:
        sequence += 1
        stored = Stored(epoch, sequence, Record(lane, wall_clock(), "probe", _FRAME))
        body = encode_batch([envelopes.of(stored)])
        response = await plant.post(body, BATCH, plant.secrets.probe_key)
        if response.status_code == _UNAVAILABLE:
            return response
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _metrics_when(
    plant: Plant, enough: Callable[[Mapping[str, float]], bool]
) -> Mapping[str, float]:
    """Return the publisher's metrics as soon as they are `enough`."""
    while True:
        if enough(metrics := await plant.metrics()):
            return metrics
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
