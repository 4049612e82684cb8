"""Parts of the OpenAPI description that FastAPI cannot read off the routes."""

from typing import Any

from core_api.problems import MEDIA_TYPE
from ingress_contracts import http

PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}

_MEANINGS = {
    400: "The body cannot be read.",
    401: "No valid API key came with the request.",
    403: "The API key does not allow this.",
    404: "There is no such workspace or vehicle.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many messages.",
    415: "The content type or encoding is not one that is read here.",
    422: "A parameter is not valid; `errors` names each.",
    429: "Too many requests of this key are in work.",
    503: "Not now: full, shutting down, a clock ahead, or no database. `type` says which.",
}
_RETRIED = {429, 503}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds after which to try again (RFC 9110, 10.2.3).",
        "schema": {"type": "integer"},
    }
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of responses that carry a problem document."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}},
            **({"headers": _RETRY_AFTER} if status in _RETRIED else {}),
        }
        for status in statuses
    }


_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvent in the JSON format; its attributes are those of the envelope's "
    "JSON Schema, the provider's bytes are in `data_base64`.",
    "required": ["specversion", "id", "source", "type", "workspaceid", "publisherid"],
}

INGEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "CloudEvents 1.0 over HTTP; Content-Encoding may be gzip.",
        "content": {
            http.BATCH: {"schema": {"type": "array", "items": _EVENT}},
            http.STRUCTURED: {"schema": _EVENT},
            "*/*": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "Binary mode: attributes are `ce-` headers, the body is the "
                    "provider's bytes.",
                }
            },
        },
    }
}
