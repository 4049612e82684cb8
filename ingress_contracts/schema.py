"""JSON Schemas (draft 2020-12), generated from the models and committed under `schemas/`."""

import json
from typing import Any

from pydantic import BaseModel

from ingress_contracts.answer import Answer
from ingress_contracts.envelope import MAX_DATA_BYTES, Envelope
from ingress_contracts.kinds import KINDS

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, Schema]:
    """Return every schema of the contract by its file name in `schemas/`."""
    made = {
        "envelope.v1.json": _envelope(),
        "ingest.answer.v1.json": _named(Answer, "ingest.answer", 1),
    }
    for kind in KINDS:
        if kind.body is not None:
            name = kind.family.removeprefix("telematics.")
            made[f"{name}.v{kind.major}.json"] = _named(kind.body, name, kind.major)
    return made


def render(schema: Schema) -> str:
    """Return the text of a schema's file."""
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _named(model: type[BaseModel], name: str, major: int) -> Schema:
    return {
        "$schema": _DIALECT,
        "$id": f"urn:telematics-ingress:{name}:v{major}",
        **model.model_json_schema(by_alias=True, mode="validation"),
    }


def _envelope() -> Schema:
    """Describe the envelope in structured mode: a JSON object, alone or as an item of a batch.

    What the models leave to code is added: specversion must be there, data comes in one of two
    members, and all but unnumbered kinds bring their origin.
    """
    schema = _named(Envelope, "envelope", 1)
    schema["required"] = ["specversion", *schema["required"]]
    properties = schema["properties"]
    del properties["specversion"]["default"]
    properties["data_base64"] = {
        "type": ["string", "null"],
        "contentEncoding": "base64",
        "maxLength": (MAX_DATA_BYTES + 2) // 3 * 4,
        "description": f"The provider's bytes, untouched; at most {MAX_DATA_BYTES}.",
    }
    properties["data"] = {
        "description": "Instead of data_base64: a JSON value, or a string where datacontenttype "
        "is not JSON."
    }
    both = {"required": ["data", "data_base64"], "properties": {"data_base64": {"type": "string"}}}
    schema["not"] = both
    origin = ["publisherepoch", "sequence"]
    schema["if"] = {
        "properties": {"type": {"enum": [kind.type for kind in KINDS if not kind.numbered]}}
    }
    schema["else"] = {
        "required": origin,
        "properties": {name: {"not": {"type": "null"}} for name in origin},
    }
    return schema
