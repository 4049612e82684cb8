"""Whatever a provider sends becomes an envelope that core can read: never is data set aside."""

import json
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from ingress_contracts import http
from telematics_publisher.provider import StreamEntry
from telematics_publisher.providers.viriciti import ViricitiStream
from telematics_publisher.records import Envelopes, Record, Stored, provider_lane

ENTRY = StreamEntry.model_validate(
    {"name": "buses", "workspace": "acme", "provider": "viriciti", "vehicles": {"bus_1": ["soc"]}}
)
STREAM = ViricitiStream(ENTRY, SecretStr("key"))
EPOCH = UUID("01930000-0000-7000-8000-000000000001")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.sampled_from(["escaped", "plain"]),
)
@example("a\x85b", "escaped")
@example("a\x7fb", "plain")
@example("é" * 256, "escaped")
def test_any_name_of_a_vehicle_makes_an_envelope_that_is_read_back(name: str, written: str) -> None:
    frame = {"type": "vehicles", "payload": {"vid": name, "time": 1}}
    data = json.dumps(frame, ensure_ascii=written == "escaped").encode()
    seen = STREAM.inspect(data)
    lane = provider_lane(ENTRY.provider, ENTRY.source, timestamped=seen.timestamped)
    stored = Stored(EPOCH, 1, Record(lane, 1_700_000_000_000_000, seen.subject, data))

    envelope = Envelopes("acme", "edge-1").of(stored)

    batch = http.encode_batch([envelope])
    (read,) = http.decode({"content-type": http.BATCH}, batch)
    assert read == envelope
