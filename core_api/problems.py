"""Errors as the client sees them: RFC 9457 problem details, each with a remedy.

`type` is `urn:telematics-ingress:problem:<slug>`; `detail` says what is wrong in this request,
`remedy` what to do about it. Nothing internal (SQL, stack, secret) is ever a part of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

URN = "urn:telematics-ingress:problem:"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A class of problem: the last part of its URN, its HTTP status and its title."""

    slug: str
    status: int
    title: str


UNREADABLE_BODY = ProblemType("unreadable-body", 400, "The body cannot be read")
MALFORMED_REQUEST = ProblemType("malformed-request", 400, "The request is not sound HTTP")
UNAUTHENTICATED = ProblemType("unauthenticated", 401, "A valid API key is needed")
FORBIDDEN = ProblemType("forbidden", 403, "The API key does not allow this")
NOT_FOUND = ProblemType("not-found", 404, "There is nothing here")
METHOD_NOT_ALLOWED = ProblemType("method-not-allowed", 405, "The method does not exist here")
REPLAY_RUNNING = ProblemType("replay-running", 409, "Another replay is at work")
BODY_TIMEOUT = ProblemType("body-timeout", 408, "The body did not arrive in time")
HEAD_TIMEOUT = ProblemType("head-timeout", 408, "The request's head did not arrive in time")
TOO_LARGE = ProblemType("too-large", 413, "The request is too large")
UNSUPPORTED_MEDIA = ProblemType("unsupported-media-type", 415, "The content cannot be decoded")
INVALID_PARAMETER = ProblemType("invalid-parameter", 422, "A parameter is not valid")
TOO_MANY_REQUESTS = ProblemType("too-many-requests", 429, "Too many requests of this key at once")
HEAD_TOO_LARGE = ProblemType("head-too-large", 431, "The request's head is too large")
INTERNAL = ProblemType("internal", 500, "Something unexpected failed")
OVERLOADED = ProblemType("overloaded", 503, "The process has as much work as it takes")
CLOCK_AHEAD = ProblemType("clock-ahead", 503, "The sender's clock is ahead of core's")
STORE_UNAVAILABLE = ProblemType("store-unavailable", 503, "The database is away")
SHUTTING_DOWN = ProblemType("shutting-down", 503, "The process is shutting down")
NOT_READY = ProblemType("not-ready", 503, "The process is not ready")


class Problem(Exception):
    """A request that ends in a problem document. `members` are further members of it."""

    def __init__(
        self,
        type_: ProblemType,
        detail: str,
        remedy: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.type = type_
        self.detail = detail
        self.remedy = remedy
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def response(self) -> JSONResponse:
        """Return the answer that carries this problem."""
        body = {
            "type": URN + self.type.slug,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "remedy": self.remedy,
            **self.members,
        }
        return JSONResponse(body, self.type.status, self.headers, MEDIA_TYPE)


def retry_after(seconds: int) -> dict[str, str]:
    """Return the header that says in how many seconds to try again (RFC 9110, 10.2.3)."""
    return {"retry-after": str(seconds)}


class ParameterError(BaseModel):
    """One parameter that breaks a rule."""

    parameter: str
    value: str | None = Field(description="As it was sent; null where it is missing.")
    rule: str


class ProblemDocument(BaseModel):
    """An RFC 9457 problem document, as the OpenAPI description shows it."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(description="The class of problem.", examples=[URN + FORBIDDEN.slug])
    title: str
    status: int
    detail: str = Field(description="What is wrong in this request.")
    remedy: str = Field(description="What to do about it.")
    errors: list[ParameterError] | None = Field(
        default=None, description="Of `invalid-parameter`: each parameter and its rule."
    )
