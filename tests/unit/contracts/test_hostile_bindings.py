"""Whatever comes in by a binding: an envelope that can be written again, or what is wrong with it."""

import json
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress_contracts import http, kafka
from ingress_contracts.envelope import Envelope
from ingress_contracts.http import Malformed
from ingress_contracts.kinds import PROVIDER_MESSAGE

pytestmark = pytest.mark.hostile

many = settings(max_examples=10_000, suppress_health_check=[HealthCheck.too_slow])

GOOD = Envelope(
    id="8a7f1c3e-9d52-8f0c-ab1a-7e4401943f10",
    source="/viriciti/acme/buses",
    type=PROVIDER_MESSAGE,
    subject="arcc_004",
    time=datetime(2026, 1, 1, 12, tzinfo=UTC),
    datacontenttype="application/json",
    provider="viriciti",
    workspaceid="acme",
    receivedtime=datetime(2026, 1, 1, 12, 0, 1, 123_456, tzinfo=UTC),
    publisherid="edge-1",
    publisherepoch=UUID("01943f10-8f7a-7c3e-9d52-5f0c2b1a7e44"),
    sequence=41,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data=b'{"vid":"arcc_004"}',
)
ITEM = http.encode_structured(GOOD).decode()
HEADERS, BODY = http.encode_binary(GOOD)
RECORD = kafka.encode(GOOD)
MISCHIEF = (
    *("NaN", "-Infinity", "1e999", "9" * 400, "9" * 5_000, "-1", "0.5", "9223372036854775808"),
    *('"\\u0000"', '"\\ud800"', '"\x7f"', '"\x85"', '"\u2028"', '"\\uFFFF"', '"' + "é" * 300 + '"'),
    *("null", "true", "[]", "{}", "[" * 150 + "]" * 150, "[" * 2_000, "\ufeff", "\x00", "\r\n"),
    *('"id":7,', '"data":{},', '"data":[1e999],', '"data":"\\ud800",', '"data_base64":"*",'),
    *(
        '"specversion":"2.0",',
        '"sequence":null,',
        '"time":0,',
        '"workspaceid":"other",',
        "%00",
        "%",
    ),
    *("%ff", "%C3%A9", '"', "\\", "{", "}", "[", "]", ",", ":", "'", "é", "\udfff", "=", "; x=y"),
)
CONTENT_TYPES = (
    *("", "text/plain", "application/json", http.BATCH, http.STRUCTURED, f"{http.BATCH}; x"),
    *("application/cloudevents", "APPLICATION/CLOUDEVENTS+JSON", "application/cloudevents+avro"),
)


def damaged(sample: str, wounds: bytes) -> str:
    """Replace some stretches of a good message: every four bytes are a place (2), a length, a patch.

    One draw an example, cut up by hand, is what makes millions of them cheap.
    """
    for at in range(0, len(wounds) - 3, 4):
        start = int.from_bytes(wounds[at : at + 2], "big") % (len(sample) + 1)
        patch = MISCHIEF[wounds[at + 3] % len(MISCHIEF)]
        sample = sample[:start] + patch + sample[start + wounds[at + 2] % 24 :]
    return sample


def read(headers: dict[str, str], body: bytes) -> list[Envelope | Malformed] | None:
    """Decode, and assert that what comes of it can be passed on."""
    try:
        items = http.decode(headers, body)
    except (http.UnreadableBody, http.UnsupportedMode) as error:
        str(error).encode()
        return None
    for index, item in enumerate(items):
        if isinstance(item, Envelope):
            assert http.decode({"content-type": http.BATCH}, http.encode_batch([item])) == [item]
        else:
            assert item.index == index
            assert item.reason.isidentifier()
            assert item.detail
            http.encode_answer([(item.id, http.REFUSED, item.reason, item.detail)]).decode()
    return items


@many
@given(st.binary(min_size=3, max_size=19))
def test_request_makes_envelopes_or_complaints_alike_alone_and_among_neighbours(
    dice: bytes,
) -> None:
    one = damaged(ITEM, dice[3:]).encode("utf-8", "surrogatepass")
    alone = read({"content-type": http.STRUCTURED}, one)
    among = read({"content-type": http.BATCH}, b"[%b,%b,7]" % (ITEM.encode(), one))
    if alone is not None:
        assert among is not None
        first, item, last = among
        assert first == GOOD
        assert isinstance(last, Malformed)
        if isinstance(item, Malformed):
            assert isinstance(alone[0], Malformed)
            assert (item.id, item.reason) == (alone[0].id, alone[0].reason)
        else:
            assert item == alone[0]
    names = sorted(HEADERS)
    name = names[dice[0] % len(names)]
    changed = {name: damaged(HEADERS[name], dice[3:]), "content-type": CONTENT_TYPES[dice[1] % 9]}
    read(HEADERS | changed, BODY if dice[2] % 2 else one)


@many
@given(st.binary(min_size=3, max_size=19))
def test_record_makes_an_envelope_or_a_complaint(dice: bytes) -> None:
    name, raw = RECORD.headers[dice[0] % len(RECORD.headers)]
    wound = damaged(raw.decode(), dice[3:]).encode("utf-8", "surrogatepass") + dice[:1] * (
        dice[1] % 2
    )
    headers = dict(RECORD.headers) | {name: wound if dice[1] % 8 else None}
    value = None if dice[2] % 16 == 0 else wound
    key = dice[3:] if dice[2] % 3 else RECORD.key
    # A foreign header that is there twice is left alone, and makes the record an unusual one.
    unusual = [*headers.items(), ("x", b""), ("x", b"")]
    try:
        envelope = kafka.decode(headers.items(), value, key)
    except kafka.MalformedRecord as error:
        complaint = Malformed(0, None, error.reason, error.detail)
        assert complaint.reason.isidentifier()
        json.dumps(complaint.detail).encode()
        with pytest.raises(kafka.MalformedRecord, match=re.escape(str(error))):
            kafka.decode(unusual, value, key)
        return
    assert kafka.decode(unusual, value, key) == envelope
    again = kafka.encode(envelope)
    assert kafka.decode(again.headers, again.value, again.key) == envelope
    assert http.decode({"content-type": http.BATCH}, http.encode_batch([envelope])) == [envelope]
