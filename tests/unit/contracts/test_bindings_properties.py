"""Whatever is an envelope survives every binding; whatever is none is refused, never a crash."""

import json
import pickle
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from ingress_contracts import http, kafka
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CHECKPOINT, KINDS

BATCH = {"content-type": http.BATCH}
STRUCTURED = {"content-type": http.STRUCTURED}
UNUSUAL = [("x", b"")] * 2

text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
name = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
number = st.integers(0, 2**63 - 1)
offset = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instant = st.datetimes(datetime(1900, 1, 3), datetime(2999, 12, 30), timezones=offset)  # noqa: DTZ001 — Hypothesis takes naive bounds
envelopes = st.builds(
    Envelope,
    id=text,
    source=text,
    type=st.sampled_from([kind.type for kind in KINDS if kind.numbered]) | text,
    subject=st.none() | text,
    time=st.none() | instant,
    datacontenttype=st.sampled_from([None, "application/json", 'text/plain; charset="utf-8"']),
    dataschema=st.none() | text,
    provider=st.none() | st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True),
    workspaceid=name,
    receivedtime=instant,
    partitionkey=st.none() | text,
    publisherid=name,
    publisherepoch=st.uuids(),
    sequence=number,
    leaseepoch=st.none() | number,
    traceparent=st.none() | st.from_regex(r"[!-~]{1,64}", fullmatch=True),
    data=st.binary(max_size=60),
) | st.builds(
    Envelope,
    id=text,
    source=text,
    type=st.just(CHECKPOINT),
    workspaceid=name,
    receivedtime=instant,
    publisherid=name,
    data=st.binary(max_size=60),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(envelopes, max_size=4))
def test_a_batch_is_read_as_it_was_written(batch: list[Envelope]) -> None:
    assert http.decode(BATCH, http.encode_batch(batch)) == batch


@given(envelopes)
def test_structured_mode_is_read_as_it_was_written(envelope: Envelope) -> None:
    assert http.decode(STRUCTURED, http.encode_structured(envelope)) == [envelope]


@given(envelopes)
def test_binary_mode_is_read_as_it_was_written(envelope: Envelope) -> None:
    headers, body = http.encode_binary(envelope)

    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert http.decode(headers, body) == [envelope]


@given(envelopes)
def test_kafka_is_read_as_it_was_written(envelope: Envelope) -> None:
    record = kafka.encode(envelope)

    assert kafka.decode(record.headers, record.value, record.key) == envelope


@given(st.lists(envelopes, max_size=3), json_values)
def test_a_malformed_item_leaves_its_neighbours_alone(
    batch: list[Envelope], stranger: object
) -> None:
    items = [*json.loads(http.encode_batch(batch)), stranger]
    body = json.dumps(items).encode()
    try:
        json.dumps(stranger, allow_nan=False)
    except ValueError:
        return  # NaN is no JSON: the body as a whole is unreadable

    *neighbours, malformed = http.decode(BATCH, body)

    assert neighbours == batch
    assert isinstance(malformed, http.Malformed)
    assert malformed.index == len(batch)


@given(
    envelopes,
    st.sampled_from([*sorted(Envelope.model_fields), "data_base64"]),
    json_values,
)
def test_any_value_in_any_member_is_read_or_refused_alike_alone_and_in_a_batch(
    envelope: Envelope, member: str, value: object
) -> None:
    item = json.loads(http.encode_structured(envelope)) | {member: value}
    body = json.dumps(item).encode()
    try:
        (alone,) = http.decode(STRUCTURED, body)
        (among,) = http.decode(BATCH, b"[" + body + b"]")
    except http.UnreadableBody:
        return

    assert alone == among
    if isinstance(alone, Envelope):
        assert http.decode(BATCH, http.encode_batch([alone])) == [alone]
    else:
        (alone.id or "").encode()
        alone.detail.encode()


@given(st.sampled_from([BATCH, STRUCTURED, {"ce-specversion": "1.0"}, {}]), st.binary(max_size=80))
def test_bytes_from_nowhere_raise_nothing_but_the_documented_errors(
    headers: dict[str, str], body: bytes
) -> None:
    try:
        items = http.decode(headers, body)
    except (http.UnreadableBody, http.UnsupportedMode):
        return

    assert not any(isinstance(item, Envelope) for item in items)


@given(
    st.dictionaries(
        st.sampled_from([f"ce-{name}" for name in Envelope.model_fields] + ["content-type"]),
        st.text(st.characters(exclude_categories=[]), max_size=20),
    ),
    envelopes,
)
def test_headers_from_nowhere_make_an_envelope_or_a_complaint(
    changes: dict[str, str], envelope: Envelope
) -> None:
    headers, body = http.encode_binary(envelope)
    try:
        (item,) = http.decode(headers | changes, body)
    except (http.UnreadableBody, http.UnsupportedMode):
        return

    assert isinstance(item, Envelope | http.Malformed)


@given(
    st.dictionaries(
        st.sampled_from([f"ce_{name}" for name in Envelope.model_fields] + ["content-type"]),
        st.none() | st.binary(max_size=20),
    ),
    envelopes,
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=20),
)
def test_records_from_nowhere_make_an_envelope_or_a_malformed_record(
    changes: dict[str, bytes | None],
    envelope: Envelope,
    value: bytes | None,
    key: bytes | None,
) -> None:
    headers = dict(kafka.encode(envelope).headers) | changes
    decoded = read_record(headers.items(), value, key)

    # A foreign header that is there twice is left alone, and makes the record an unusual one.
    assert read_record([*headers.items(), *UNUSUAL], value, key) == decoded
    if isinstance(decoded, Envelope):
        assert decoded.data == (value or b"")


@given(envelopes)
def test_envelope_of_a_record_is_one_like_any_other(envelope: Envelope) -> None:
    record = kafka.encode(envelope)

    decoded = kafka.decode(record.headers, record.value, record.key)
    validated = Envelope.model_validate(vars(decoded), by_name=True)

    assert decoded == validated == envelope
    assert (repr(decoded), hash(decoded)) == (repr(validated), hash(validated))
    assert decoded.model_dump() == validated.model_dump()
    assert pickle.loads(pickle.dumps(decoded)) == validated  # noqa: S301 — written here
    assert decoded.model_copy(update={"id": "other"}) == validated.model_copy(
        update={"id": "other"}
    )


def read_record(
    headers: Iterable[tuple[str, bytes | None]], value: bytes | None, key: bytes | None
) -> Envelope | tuple[str, str]:
    try:
        return kafka.decode(headers, value, key)
    except kafka.MalformedRecord as error:
        return error.reason, error.detail


@given(st.binary(max_size=60))
def test_an_answer_from_nowhere_is_unreadable(body: bytes) -> None:
    try:
        http.decode_answer(body)
    except http.UnreadableBody:
        return
    raise AssertionError("random bytes are no answer")
