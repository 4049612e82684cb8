import pytest

from ingress_contracts import kafka
from ingress_contracts.envelope import MAX_DATA_BYTES, Envelope
from ingress_contracts.kafka import MalformedRecord


def changed(envelope: Envelope, **changes: bytes | None) -> list[tuple[str, bytes | None]]:
    headers: dict[str, bytes | None] = dict(kafka.encode(envelope).headers)
    return list((headers | changes).items())


def test_the_value_is_the_data_untouched(envelope: Envelope) -> None:
    data = bytes(range(256))

    record = kafka.encode(envelope.model_copy(update={"data": data}))

    assert record.value == data
    assert kafka.decode(record.headers, record.value).data == data


def test_the_key_is_the_partition_key_or_else_the_subject(envelope: Envelope) -> None:
    routed = envelope.model_copy(update={"partitionkey": "süd"})
    nowhere = envelope.model_copy(update={"subject": None})

    assert kafka.encode(routed).key == "süd".encode()
    assert kafka.encode(envelope).key == b"arcc_004"
    assert kafka.encode(nowhere).key is None


def test_headers_that_are_not_needed_are_left_out(envelope: Envelope) -> None:
    names = {name for name, _ in kafka.encode(envelope).headers}

    assert names.isdisjoint({"ce_time", "ce_partitionkey", "ce_data", "content-type"})


@pytest.mark.parametrize(
    ("key", "partitionkey"),
    [(b"arcc_004", None), (b"other", "other"), (b"\xff", None), (b"", None), (None, None)],
)
def test_a_key_that_only_the_record_has_stands_in_for_the_attribute(
    envelope: Envelope, key: bytes | None, partitionkey: str | None
) -> None:
    record = kafka.encode(envelope)

    assert kafka.decode(record.headers, record.value, key).partitionkey == partitionkey


def test_the_attribute_outranks_the_records_key(envelope: Envelope) -> None:
    headers = changed(envelope, ce_partitionkey=b"mine")

    assert kafka.decode(headers, b"", b"other").partitionkey == "mine"


def test_foreign_headers_and_null_ones_are_left_alone(envelope: Envelope) -> None:
    record = kafka.encode(envelope)
    headers = changed(envelope, traceid=b"\xff", ce_time=None, ce_data=b"x", ce_comexample=b"\xff")

    assert kafka.decode(headers, record.value, record.key) == envelope


def test_a_record_without_value_has_no_data(envelope: Envelope) -> None:
    assert kafka.decode(kafka.encode(envelope).headers, None).data == b""


@pytest.mark.parametrize(
    ("changes", "reason", "named"),
    [
        ({"ce_specversion": None}, "unsupported_specversion", "specversion"),
        ({"ce_specversion": b"0.3"}, "unsupported_specversion", "specversion"),
        ({"ce_id": None}, "missing_attribute", "id"),
        ({"ce_id": b"a\x00b"}, "invalid_attribute", "id"),
        ({"ce_id": b"\xff"}, "invalid_attribute", "ce_id"),
        ({"ce_id": b"\xed\xa0\x80"}, "invalid_attribute", "ce_id"),
        ({"ce_sequence": b"1_000"}, "invalid_attribute", "sequence"),
        ({"ce_sequence": None}, "missing_origin", "sequence"),
        ({"ce_receivedtime": b"1767268800"}, "invalid_attribute", "receivedtime"),
        ({"content-type": b"application/cloudevents+json"}, "unsupported_mode", "binary"),
    ],
)
def test_a_record_that_is_no_envelope_says_why(
    envelope: Envelope, changes: dict[str, bytes | None], reason: str, named: str
) -> None:
    with pytest.raises(MalformedRecord, match=named) as caught:
        kafka.decode(changed(envelope, **changes), b"{}")

    assert caught.value.reason == reason
    assert named in caught.value.detail


def test_a_value_above_the_greatest_size_is_too_large(envelope: Envelope) -> None:
    with pytest.raises(MalformedRecord, match="524288") as caught:
        kafka.decode(kafka.encode(envelope).headers, b"x" * (MAX_DATA_BYTES + 1))

    assert caught.value.reason == "too_large"


def test_of_a_record_that_is_no_envelope_what_is_valid_of_its_origin_is_claimed(
    envelope: Envelope,
) -> None:
    claim = kafka.claim(changed(envelope, ce_id=None))
    assert claim == kafka.Claim(
        workspaceid=envelope.workspaceid,
        publisherid=envelope.publisherid,
        publisherepoch=envelope.publisherepoch,
        sequence=envelope.sequence,
        receivedtime=envelope.receivedtime,
    )
    partly = changed(envelope, ce_sequence=b"+7", ce_workspaceid=b"\xff", ce_publisherid=None)
    assert kafka.claim(partly) == kafka.Claim(
        publisherepoch=envelope.publisherepoch, receivedtime=envelope.receivedtime
    )
