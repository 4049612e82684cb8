import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import ingress_contracts
from ingress_contracts import golden, http, schema
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import KINDS

COMMITTED = Path(ingress_contracts.__file__).parent / "schemas"


def validator(file_name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((COMMITTED / file_name).read_text()))


def envelope_members(**changes: object) -> dict[str, Any]:
    """The golden event with members changed, or left out where the change is `...`."""
    _, body = golden.http("v1/http-structured")
    members = json.loads(body) | changes
    return {name: value for name, value in members.items() if value is not ...}


def test_committed_schemas_are_those_of_the_models() -> None:
    assert {path.name: path.read_text() for path in COMMITTED.iterdir()} == {
        name: schema.render(made) for name, made in schema.schemas().items()
    }


@pytest.mark.parametrize("file_name", sorted(schema.schemas()))
def test_every_schema_is_valid_and_names_itself(file_name: str) -> None:
    made = schema.schemas()[file_name]

    Draft202012Validator.check_schema(made)
    name, major, _ = file_name.rsplit(".", 2)
    assert made["$id"] == f"urn:telematics-ingress:{name}:{major}"


def test_every_event_of_the_golden_batch_satisfies_the_envelope_schema() -> None:
    _, body = golden.http("v1/http-batch")

    for event in json.loads(body):
        validator("envelope.v1.json").validate(event)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.body is not None], ids=lambda kind: kind.type
)
def test_the_golden_body_of_every_kind_satisfies_its_schema(kind: ingress_contracts.Kind) -> None:
    _, body = golden.http(f"v1/kinds/{kind.type}")

    validator(f"{kind.type.removeprefix('telematics.')}.json").validate(json.loads(body))


def test_the_answer_of_a_door_satisfies_its_schema() -> None:
    outcomes = [("a", "accepted", None, None), (None, http.REFUSED, "not_an_object", "a number")]

    body = http.encode_answer(outcomes)

    validator("ingest.answer.v1.json").validate(json.loads(body))


CHECKPOINT = {"type": "telematics.publisher.checkpoint.v1", "sequence": ..., "publisherepoch": ...}
UNKNOWN: dict[str, object] = {"type": "com.example.other.v1"}
ENVELOPES: dict[str, dict[str, object]] = {
    "as_the_encoder_writes_it": {},
    "sequence_as_an_integer": {"sequence": 41},
    "optional_attributes_null": {"subject": None, "time": None},
    "data_as_a_json_value": {"data_base64": ..., "data": {"vid": "arcc_004"}},
    "unknown_extension": {"comexampleextension": "ignored"},
    "checkpoint_without_origin": CHECKPOINT,
    "unknown_type_with_origin": UNKNOWN,
}
OTHERS: dict[str, dict[str, object]] = {
    "no_specversion": {"specversion": ...},
    "other_specversion": {"specversion": "0.3"},
    "sequence_with_leading_zeros": {"sequence": "007"},
    "sequence_with_sign": {"sequence": "+5"},
    "sequence_with_underscore": {"sequence": "1_000"},
    "sequence_with_space": {"sequence": " 5"},
    "sequence_negative": {"sequence": -1},
    "sequence_of_65_bits": {"sequence": 2**64},
    "no_sequence": {"sequence": ...},
    "no_epoch": {"publisherepoch": None},
    "instant_as_a_number": {"receivedtime": 1_767_268_800},
    "instant_as_digits": {"receivedtime": "1767268800"},
    "instant_without_offset": {"receivedtime": "2026-01-01T12:00:00"},
    "empty_id": {"id": ""},
    "control_character": {"id": "a\nb"},
    "provider_in_capitals": {"provider": "ViriCiti"},
    "data_twice": {"data": {}},
    "unknown_type_without_origin": UNKNOWN | {"sequence": ...},
}


@pytest.mark.parametrize("name", [*ENVELOPES, *OTHERS])
def test_schema_and_decoder_agree_on_what_an_envelope_is(name: str) -> None:
    members = envelope_members(**(ENVELOPES | OTHERS)[name])
    (decoded,) = http.decode({"content-type": http.STRUCTURED}, json.dumps(members).encode())

    assert isinstance(decoded, Envelope) == (name in ENVELOPES)
    assert validator("envelope.v1.json").is_valid(members) == (name in ENVELOPES)
