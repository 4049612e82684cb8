import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from ingress_contracts import http
from ingress_contracts.envelope import MAX_DATA_BYTES, Envelope
from ingress_contracts.http import Malformed
from ingress_contracts.kinds import CHECKPOINT

BATCH = {"content-type": http.BATCH}
STRUCTURED = {"content-type": http.STRUCTURED}


def item(envelope: Envelope, **changes: object) -> dict[str, Any]:
    """The envelope's JSON members, changed, or left out where the change is `...`."""
    members = json.loads(http.encode_structured(envelope)) | changes
    return {name: value for name, value in members.items() if value is not ...}


def decode_one(envelope: Envelope, **changes: object) -> Envelope | Malformed:
    (decoded,) = http.decode(BATCH, json.dumps([item(envelope, **changes)]).encode())
    return decoded


def refusal(envelope: Envelope, **changes: object) -> Malformed:
    decoded = decode_one(envelope, **changes)
    assert isinstance(decoded, Malformed)
    return decoded


def test_the_mode_follows_the_content_type_whatever_its_case_and_parameters(
    envelope: Envelope,
) -> None:
    batch = http.encode_batch([envelope])
    structured = http.encode_structured(envelope)

    for suffix in ("", "; charset=UTF-8", " ;charset=utf-8"):
        assert http.decode({"content-type": http.BATCH.upper() + suffix}, batch) == [envelope]
        assert http.decode({"content-type": http.STRUCTURED + suffix}, structured) == [envelope]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "application/cloudevents+avro", "ce-specversion": "1.0"},
    ],
    ids=["none", "other", "other_event_format"],
)
def test_a_request_in_no_known_mode_is_told_the_modes(headers: dict[str, str]) -> None:
    with pytest.raises(http.UnsupportedMode, match=r"cloudevents-batch\+json.*ce-specversion"):
        http.decode(headers, b"{}")


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        (BATCH, b"", "body is not JSON in UTF-8: Expecting value: line 1 column 1"),
        (BATCH, b"{}", "body of a batch must be a JSON array"),
        (BATCH, b"[", "body is not JSON in UTF-8: Expecting value: line 1 column 2"),
        (BATCH, b'["\xff"]', "body is not JSON in UTF-8: it is not UTF-8 at byte 2"),
        (BATCH, b"[NaN]", "body is not JSON in UTF-8: NaN is no JSON value"),
        (
            BATCH,
            b"[" * 100_000 + b"]" * 100_000,
            "body is not JSON in UTF-8: it is nested too deep",
        ),
        (STRUCTURED, b"[]", "body of a structured event must be a JSON object"),
        (STRUCTURED, b"null", "body of a structured event must be a JSON object"),
    ],
    ids=["empty", "object", "cut", "latin1", "nan", "deep", "array", "null"],
)
def test_a_body_in_which_events_cannot_be_told_apart_is_unreadable_and_says_where(
    headers: dict[str, str], body: bytes, why: str
) -> None:
    with pytest.raises(http.UnreadableBody, match=why):
        http.decode(headers, body)


@pytest.mark.parametrize("member", ["id", "sequence", "datacontenttype", "data", "unknown"])
def test_a_number_of_thousands_of_digits_spoils_its_own_item_at_most(
    envelope: Envelope, member: str
) -> None:
    whole = item(envelope)
    odd = json.dumps({name: whole[name] for name in whole if name != "data_base64"} | {member: "%"})
    body = f"[{json.dumps(item(envelope))},{odd},7]".replace('"%"', "9" * 10_000).encode()

    neighbour, long, last = http.decode(BATCH, body)

    assert neighbour == envelope
    assert isinstance(long, http.Malformed) is (member != "unknown")
    assert isinstance(last, http.Malformed)


def test_of_a_member_that_is_there_twice_the_last_counts_alone_and_among_others(
    envelope: Envelope,
) -> None:
    text = json.dumps(item(envelope))
    twice = f'{{"workspaceid":"other","data_base64":"AA==",{text[1:]}'.encode()

    assert http.decode(BATCH, b"[" + twice + b"]") == [envelope]
    assert http.decode(STRUCTURED, twice) == [envelope]
    assert http.decode(BATCH, b"[" + twice + b",7]")[0] == envelope


def test_an_empty_batch_is_an_empty_batch() -> None:
    assert http.decode(BATCH, http.encode_batch([])) == []


def test_attributes_that_are_not_set_are_left_out(envelope: Envelope) -> None:
    empty = envelope.model_copy(update={"subject": None, "data": b""})

    assert item(empty).keys().isdisjoint({"subject", "time", "partitionkey", "data_base64"})
    assert None not in item(empty).values()
    assert "ce-subject" not in http.encode_binary(empty)[0]
    assert "content-type" not in http.encode_binary(empty)[0]


def test_data_is_written_in_the_standard_alphabet_and_read_in_both(envelope: Envelope) -> None:
    data = b"\xfb\xff\xfe"

    assert item(envelope.model_copy(update={"data": data}))["data_base64"] == "+//+"
    for encoded in ("+//+", "-__-"):
        for neighbours in ([], [None]):
            body = json.dumps([item(envelope, data_base64=encoded), *neighbours]).encode()
            decoded = http.decode(BATCH, body)[0]
            assert isinstance(decoded, Envelope)
            assert decoded.data == data


def test_instants_are_written_in_utc(envelope: Envelope) -> None:
    elsewhere = envelope.model_copy(
        update={"receivedtime": datetime.fromisoformat("2026-01-01T14:00:00+02:00")}
    )

    assert item(elsewhere)["receivedtime"] == "2026-01-01T12:00:00Z"
    assert http.encode_binary(elsewhere)[0]["ce-receivedtime"] == "2026-01-01T12:00:00Z"


@pytest.mark.parametrize(
    ("instant", "microsecond"),
    [
        ("2026-01-01T12:00:00Z", 0),
        ("2026-01-01t12:00:00.9z", 900_000),
        ("2026-01-01 12:00:00.123456999999+00:00", 123_456),
        ("2026-01-01T13:30:00.000001+01:30", 1),
    ],
)
def test_instants_are_read_to_the_microsecond_and_floored(
    envelope: Envelope, instant: str, microsecond: int
) -> None:
    decoded = decode_one(envelope, receivedtime=instant)

    assert isinstance(decoded, Envelope)
    assert decoded.receivedtime == datetime(2026, 1, 1, 12, 0, 0, microsecond, tzinfo=UTC)


@pytest.mark.parametrize(
    "instant",
    [
        1_767_268_800,
        "1767268800",
        "2026-01-01",
        "2026-01-01T12:00:00",
        "2026-01-01T12:00Z",
        "2026-01-01T12:00:00+0100",
        "2026-01-01T12:00:00Z\n",
        "2026-13-01T12:00:00Z",
        "1899-12-31T23:59:59Z",
        "3000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+12:00",
    ],
    ids=str,
)
def test_only_rfc_3339_with_offset_is_an_instant(envelope: Envelope, instant: object) -> None:
    malformed = refusal(envelope, receivedtime=instant)

    assert malformed.reason == "invalid_attribute"
    assert "receivedtime" in malformed.detail
    assert "RFC 3339" in malformed.detail


def test_an_instant_made_in_python_knows_its_offset_too(envelope: Envelope) -> None:
    naive = envelope.receivedtime.replace(tzinfo=None)

    with pytest.raises(ValidationError, match="RFC 3339"):
        Envelope(**vars(envelope) | {"receivedtime": naive})


@pytest.mark.parametrize(("sequence", "value"), [("0", 0), (7, 7), (str(2**63 - 1), 2**63 - 1)])
def test_a_sequence_is_a_decimal_string_or_an_integer(
    envelope: Envelope, sequence: object, value: int
) -> None:
    decoded = decode_one(envelope, sequence=sequence)

    assert isinstance(decoded, Envelope)
    assert decoded.sequence == value


@pytest.mark.parametrize(
    "sequence",
    ["1_000", "+5", " 5", "5 ", "05", "-1", "", "5.0", "\u0665", str(2**63), 2**63, -1, 5.0, True],
    ids=ascii,
)
def test_a_sequence_has_one_spelling(envelope: Envelope, sequence: object) -> None:
    malformed = refusal(envelope, sequence=sequence)

    assert malformed.reason == "invalid_attribute"
    assert "sequence: Input should be decimal digits" in malformed.detail


@pytest.mark.parametrize(
    ("changes", "reason", "named"),
    [
        ({"specversion": ...}, "unsupported_specversion", "specversion"),
        ({"specversion": "0.3"}, "unsupported_specversion", "1.0"),
        ({"source": ...}, "missing_attribute", "source"),
        ({"workspaceid": "a b"}, "invalid_attribute", "workspaceid"),
        ({"source": None}, "invalid_attribute", "source"),
        ({"publisherepoch": "none"}, "invalid_attribute", "publisherepoch"),
        ({"sequence": ...}, "missing_origin", "sequence"),
        ({"publisherepoch": None}, "missing_origin", "publisherepoch"),
        ({"type": "com.example.x.v1", "sequence": ...}, "missing_origin", "com.example.x.v1"),
        ({"data_base64": "!"}, "invalid_data", "base64"),
        ({"data_base64": 5}, "invalid_data", "string"),
        ({"data": {}}, "invalid_data", "not both"),
        ({"data_base64": ..., "data": "\ud800"}, "invalid_data", "UTF-8"),
        ({"data_base64": ..., "data": {}, "datacontenttype": "a/b"}, "invalid_data", "string"),
        ({"data_base64": "AAAA" * 174_763}, "too_large", "524288"),
        ({"data_base64": "AAAA" * 1_000_000}, "too_large", "524288"),
        ({"data_base64": ..., "data": "x" * MAX_DATA_BYTES}, "too_large", "524288"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_item_is_told_what_is_wrong_and_where(
    envelope: Envelope, changes: dict[str, object], reason: str, named: str
) -> None:
    malformed = refusal(envelope, **changes)

    assert (malformed.index, malformed.id, malformed.reason) == (0, envelope.id, reason)
    assert named in malformed.detail


def test_data_of_exactly_the_greatest_size_is_accepted(envelope: Envelope) -> None:
    full = envelope.model_copy(update={"data": b"x" * MAX_DATA_BYTES})

    assert http.decode(BATCH, http.encode_batch([full])) == [full]
    assert http.decode(STRUCTURED, http.encode_structured(full)) == [full]
    assert http.decode(*http.encode_binary(full)) == [full]


def test_binary_data_above_the_greatest_size_is_too_large(envelope: Envelope) -> None:
    headers, _ = http.encode_binary(envelope)

    (malformed,) = http.decode(headers, b"x" * (MAX_DATA_BYTES + 1))

    assert isinstance(malformed, Malformed)
    assert malformed.reason == "too_large"


@pytest.mark.parametrize("bad", ["\x00", "a\nb", "\x7f", "\x85", "\ud800", "", "x" * 257, 5, None])
def test_an_id_that_is_no_text_is_refused_and_not_repeated(envelope: Envelope, bad: object) -> None:
    good = envelope.model_copy(update={"id": "good"})
    body = json.dumps([item(envelope, id=bad), item(good)]).encode()

    malformed, neighbour = http.decode(BATCH, body)

    assert isinstance(malformed, Malformed)
    assert (malformed.id, malformed.reason) == (None, "invalid_attribute")
    assert neighbour == good


def test_every_malformed_item_of_a_batch_has_its_index(envelope: Envelope) -> None:
    body = json.dumps([5, item(envelope), {}, item(envelope, type=...)]).encode()

    first, second, third, fourth = http.decode(BATCH, body)

    assert first == Malformed(0, None, "not_an_object", "an event must be a JSON object")
    assert second == envelope
    assert isinstance(third, Malformed)
    assert (third.index, third.id) == (2, None)
    assert isinstance(fourth, Malformed)
    assert (fourth.index, fourth.id) == (3, envelope.id)


def test_a_checkpoint_needs_no_sequence(envelope: Envelope) -> None:
    decoded = decode_one(envelope, type=CHECKPOINT, sequence=..., publisherepoch=...)

    assert isinstance(decoded, Envelope)
    assert decoded.sequence is None


def test_an_unknown_type_with_its_origin_reaches_core(envelope: Envelope) -> None:
    assert isinstance(decode_one(envelope, type="telematics.provider.message.v9"), Envelope)


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        ({"a": [1, 2.5, "ü"]}, "application/json", '{"a":[1,2.5,"ü"]}'),
        ({"a": 1}, "application/geo+json; charset=utf-8", '{"a":1}'),
        ("text", ..., '"text"'),
        (None, None, "null"),
        ("<a/>", "application/xml", "<a/>"),
    ],
)
def test_data_as_a_json_value_or_a_string_is_read_as_the_json_format_says(
    envelope: Envelope, data: object, content_type: object, expected: str
) -> None:
    decoded = decode_one(envelope, data_base64=..., data=data, datacontenttype=content_type)

    assert isinstance(decoded, Envelope)
    assert decoded.data.decode() == expected
    assert decoded.datacontenttype == (
        content_type if isinstance(content_type, str) else "application/json"
    )


def test_headers_are_percent_encoded_as_the_binding_says(envelope: Envelope) -> None:
    euro = envelope.model_copy(update={"subject": 'Euro € 😀 "100%"~'})

    headers, body = http.encode_binary(euro)

    assert headers["ce-subject"] == "Euro%20%E2%82%AC%20%F0%9F%98%80%20%22100%25%22~"
    assert headers["ce-source"] == "/viriciti/acme/buses"
    assert http.decode(headers, body) == [euro]


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        ('"bus 12"', "bus 12"),
        (r'"bus \"12\" \\ 3"', r'bus "12" \ 3'),
        ("%62us%2012", "bus 12"),
        ("caf%c3%a9", "café"),
        ("100%", "100%"),
        ('"', '"'),
    ],
)
def test_headers_are_unquoted_and_percent_decoded_once(
    envelope: Envelope, header: str, subject: str
) -> None:
    headers, body = http.encode_binary(envelope)

    (decoded,) = http.decode(headers | {"ce-subject": header}, body)

    assert isinstance(decoded, Envelope)
    assert decoded.subject == subject


@pytest.mark.parametrize("header", ["%C0%A0", "%ED%A0%80", "café", "\ud800"], ids=ascii)
def test_headers_that_are_not_percent_encoded_utf_8_are_refused(
    envelope: Envelope, header: str
) -> None:
    headers, body = http.encode_binary(envelope)

    (malformed,) = http.decode(headers | {"ce-subject": header}, body)

    assert isinstance(malformed, Malformed)
    assert malformed.reason == "invalid_attribute"
    assert "ce-subject" in malformed.detail


def test_an_answer_is_read_as_it_was_written() -> None:
    answer = http.Answer(
        outcomes=(
            http.ItemOutcome(index=0, id="a", outcome="accepted"),
            http.ItemOutcome(index=1, id=None, outcome=http.REFUSED, reason="not_an_object"),
        )
    )

    body = http.encode_answer(
        [("a", "accepted", None, None), (None, http.REFUSED, "not_an_object", None)]
    )

    assert json.loads(body) == {
        "outcomes": [
            {"index": 0, "id": "a", "outcome": "accepted", "reason": None},
            {"index": 1, "id": None, "outcome": "refused", "reason": "not_an_object"},
        ]
    }
    assert http.decode_answer(body) == answer
