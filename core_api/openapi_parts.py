"""Parts of the OpenAPI description that FastAPI cannot read off the routes."""

from typing import Any

from core_api.problems import MEDIA_TYPE
from ingress_contracts import http

PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}

_MEANINGS = {
    400: "The body cannot be read.",
    401: "No valid API key came with the request.",
    403: "The API key does not allow this.",
    404: "There is no such workspace, or nothing of this name in it.",
    408: "The body did not arrive in time.",
    409: "Letters of this workspace are being replayed or discarded just now.",
    413: "The body is too large, or has too many messages.",
    415: "The content type or encoding is not one that is read here.",
    422: "A parameter is not valid; `errors` names each.",
    429: "Too many requests of this key are in work.",
    503: "Not now: full, shutting down, a clock ahead, or no database. `type` says which.",
}
_RETRIED = {409, 429, 503}
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


_MEMBERS = (
    "A CloudEvent in the JSON format; its attributes are those of the envelope's JSON Schema, the "
    "provider's bytes are in `data_base64`. What is anything else is answered with an outcome of "
    "its own, `refused`, and its neighbours proceed: so no more than this is asked of it here."
)
_EXAMPLE = {
    "specversion": "1.0",
    "id": "b353607a-8f4d-8ea5-9ced-78a2105b8aba",
    "source": "/viriciti/acme/buses",
    "type": "telematics.provider.message.v1",
    "subject": "arcc_004",
    "provider": "viriciti",
    "workspaceid": "acme",
    "receivedtime": "2026-01-01T12:00:01.123456Z",
    "publisherid": "edge-1",
    "publisherepoch": "01943f10-8f7a-7c3e-9d52-5f0c2b1a7e44",
    "sequence": "41",
    "data_base64": "eyJ0eXBlIjoidmVoaWNsZXMiLCJwYXlsb2FkIjp7InZpZCI6ImFyY2NfMDA0IiwibGFiZWwiOiJzb2Mi"
    "LCJ2YWx1ZSI6NTcuNSwidGltZSI6MTc2NzI2ODgwMDI1MH19",
}

INGEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "CloudEvents 1.0 over HTTP; Content-Encoding may be gzip or zstd.",
        "content": {
            http.BATCH: {
                "schema": {"type": "array", "items": {"description": _MEMBERS}},
                "example": [_EXAMPLE],
            },
            http.STRUCTURED: {
                "schema": {"type": "object", "description": _MEMBERS},
                "example": _EXAMPLE,
            },
            "*/*": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "Binary mode: attributes are `ce-` headers, of which "
                    "`ce-specversion` tells the mode, the body is the provider's bytes.",
                }
            },
        },
    }
}
