"""A record of each polled provider through the handler: its bytes, one envelope, facts."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from core_ingest.reading import Value
from ingress_contracts import kinds

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EARLIER = NOON - timedelta(seconds=4)
BATTERY = "Vehicle.Powertrain.TractionBattery"
LOCATION, SPEED = "Vehicle.CurrentLocation", "Vehicle.Speed"

GEOTAB = {
    "dateTime": "2026-01-31T12:00:00.000Z",
    "device": {"id": "b8E2"},
    "latitude": 52.09,
    "longitude": 5.11,
    "speed": 35,
}
SAMSARA = {
    "id": "281474980000021",
    "evStateOfChargeMilliPercent": [{"time": "2026-01-31T11:59:56Z", "value": 57500}],
    "gps": [
        {
            "time": "2026-01-31T12:00:00Z",
            "latitude": 52.09,
            "longitude": 5.11,
            "speedMilesPerHour": 10,
        }
    ],
}
RFMS = {
    "vin": "XLRTEST0000000001",
    "createdDateTime": "2026-01-31T13:00:00+01:00",
    "hrTotalVehicleDistance": 400669415,
    "snapshotData": {
        "batteryPackChargingStatus": "CHARGING_DC",
        "gnssPosition": {
            "latitude": 52.09,
            "longitude": 5.11,
            "positionDateTime": "2026-01-31T11:59:56Z",
        },
    },
}


Facts = set[tuple[str, str, datetime, Value]]

GEOTAB_FACTS: Facts = {
    ("b8E2", LOCATION, NOON, (52.09, 5.11)),
    ("b8E2", SPEED, NOON, 35.0),
}
SAMSARA_FACTS: Facts = {
    ("281474980000021", f"{BATTERY}.StateOfCharge.Displayed", EARLIER, 57.5),
    ("281474980000021", LOCATION, NOON, (52.09, 5.11)),
    ("281474980000021", SPEED, NOON, 16.09344),
}
RFMS_FACTS: Facts = {
    ("XLRTEST0000000001", "Vehicle.TraveledDistance", NOON, 400669.415),
    ("XLRTEST0000000001", f"{BATTERY}.Charging.IsCharging", NOON, 1.0),
    ("XLRTEST0000000001", LOCATION, EARLIER, (52.09, 5.11)),
}


@pytest.mark.parametrize(
    ("provider", "record", "facts"),
    [
        ("geotab", GEOTAB, GEOTAB_FACTS),
        ("samsara", SAMSARA, SAMSARA_FACTS),
        ("rfms", RFMS, RFMS_FACTS),
    ],
)
async def test_record_becomes_facts_and_comes_again_as_a_duplicate(
    core: "Core", edge: "Edge", provider: str, record: dict[str, Any], facts: Facts
) -> None:
    data = json.dumps(record).encode()
    envelopes = [
        edge.envelope(kinds.PROVIDER_MESSAGE, data, provider=provider, received=NOON)
        for _ in range(2)
    ]

    assert [await core.take(envelope) for envelope in envelopes] == [["accepted"], ["duplicate"]]

    assert await core.history() == facts
    assert await core.dead_letters() == []
    assert await core.pool.fetchval("SELECT sum(quality) FROM history") == 0
