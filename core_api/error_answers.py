"""From exceptions to problem documents: the one place where the door translates them."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from core_api.admission import overloaded
from core_api.problems import (
    CLOCK_AHEAD,
    INVALID_PARAMETER,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    REPLAY_RUNNING,
    STORE_UNAVAILABLE,
    ParameterError,
    Problem,
    ProblemType,
    retry_after,
)
from core_api.reads import NoSuchSignal, NoSuchVehicle, NoSuchWorkspace, ReadsFull
from core_ingest.dead_letters import store as dead_letters
from core_ingest.dead_letters.desk import ReplayRunning
from core_ingest.errors import ClockAhead, IngestError, SchemaOutdated
from core_ingest.unreadable import UNKNOWN_WORKSPACE

_STORE_RETRY_SECONDS = 5
_CLOCK_RETRY_SECONDS = 30
_REPLAY_RETRY_SECONDS = 5
_LONGEST_SHOWN = 200
_CORRECT_IT = "Correct what is named; /openapi.json describes every parameter."
_VEHICLE = "vehicle"
_VEHICLE_IDS = (
    "GET /v1/workspaces/<workspace>/vehicles lists the ids (UUIDs) of vehicles; with "
    "?external_id=<id> it finds one by its provider's id."
)


def install(app: FastAPI) -> None:
    """Make `app` answer every error that it expects with a problem document."""
    for kind, translate in _TRANSLATIONS.items():
        app.add_exception_handler(kind, _answering(translate))


def _answering(translate: Callable[[Any], Problem]) -> Callable[[Request, Exception], JSONResponse]:
    def answer(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 — Starlette's signature
        return translate(error).response()

    return answer


def of_ingest_error(error: IngestError) -> Problem:
    """Return the 503 of an error of the heart: nothing was stored, and a retry can help."""
    if isinstance(error, ClockAhead):
        return Problem(
            CLOCK_AHEAD,
            f"receivedtime is {error.ahead_seconds:.1f} s ahead of core's clock; "
            f"{error.skew_seconds:g} s are allowed. Nothing of this request was stored.",
            "Set the clock of the machine that stamps receivedtime (NTP), or core's if that is the "
            "wrong one; then send the request again.",
            headers=retry_after(_CLOCK_RETRY_SECONDS),
            members={"ahead_seconds": error.ahead_seconds, "skew_seconds": error.skew_seconds},
        )
    remedy = "Send the request again; nothing of it was stored."
    if isinstance(error, SchemaOutdated):
        remedy = "The operator runs `ingress migrate`; until then, keep the request."
    return Problem(
        STORE_UNAVAILABLE,
        "The database cannot answer now; /readyz of this process tells more.",
        remedy,
        headers=retry_after(_STORE_RETRY_SECONDS),
    )


def _of_validation(error: RequestValidationError) -> Problem:
    errors = [_parameter_error(item) for item in error.errors()]
    detail = "; ".join(_sentence(item) for item in errors)
    of_vehicle = any(item.parameter == _VEHICLE for item in errors)
    return Problem(
        INVALID_PARAMETER,
        f"{detail}.",
        _VEHICLE_IDS if of_vehicle else _CORRECT_IT,
        members={"errors": [item.model_dump() for item in errors]},
    )


def _parameter_error(item: dict[str, Any]) -> ParameterError:
    missing = item["type"] == "missing"
    return ParameterError(
        parameter=str(item["loc"][-1]),
        value=None if missing else str(item.get("input"))[:_LONGEST_SHOWN],
        rule="is required" if missing else item["msg"].removeprefix("Value error, "),
    )


def _sentence(error: ParameterError) -> str:
    if error.value is None:
        return f"{error.parameter} {error.rule}"
    return f"{error.parameter} is {error.value!r}: {error.rule}"


def invalid_parameter(parameter: str, value: str, rule: str) -> Problem:
    """Return the 422 of one parameter whose rule only the route or the database knows."""
    error = ParameterError(parameter=parameter, value=value, rule=rule)
    return Problem(
        INVALID_PARAMETER,
        f"{_sentence(error)}.",
        _CORRECT_IT,
        members={"errors": [error.model_dump()]},
    )


def _of_http(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    match error.status_code:
        case NOT_FOUND.status:
            return Problem(
                NOT_FOUND,
                "No route has this path.",
                "/openapi.json lists all paths.",
                headers=headers,
            )
        case METHOD_NOT_ALLOWED.status:
            return Problem(
                METHOD_NOT_ALLOWED,
                f"This path knows only {headers.get('allow') or headers.get('Allow')}.",
                "Use one of these methods; /openapi.json describes them.",
                headers=headers,
            )
    other = ProblemType("http", error.status_code, "The request cannot be served")
    return Problem(
        other, str(error.detail), "/openapi.json describes every request.", headers=headers
    )


def _of_workspace(error: NoSuchWorkspace) -> Problem:
    return Problem(
        NOT_FOUND,
        f"There is no workspace {error.args[0]!r}.",
        "A workspace comes to be with its first key: `ingress keys create --workspace <name>`.",
    )


def _of_letters(error: dead_letters.NoSuchWorkspace) -> Problem:
    if error.args[0] == UNKNOWN_WORKSPACE:
        return Problem(
            NOT_FOUND,
            "There are no records that named no workspace.",
            "Nothing is to be done: this place comes to be with the first such record.",
        )
    return _of_workspace(NoSuchWorkspace(*error.args))


def _of_letter(error: dead_letters.NoSuchLetter) -> Problem:
    return Problem(
        NOT_FOUND,
        f"The workspace has no dead letter of {error.args[0]!r}.",
        "GET /v1/workspaces/<workspace>/dead-letters?state=all lists the origins of all.",
    )


def _of_running_replay(error: ReplayRunning) -> Problem:
    return Problem(
        REPLAY_RUNNING,
        f"Somebody replays or discards letters of workspace {error.args[0]!r} just now.",
        "Send the request again once that has ended; one at a time keeps the order of each vehicle.",
        headers=retry_after(_REPLAY_RETRY_SECONDS),
    )


def _of_vehicle(error: NoSuchVehicle) -> Problem:
    return Problem(
        NOT_FOUND,
        f"The workspace has no vehicle {error.args[0]}.",
        _VEHICLE_IDS,
    )


def _of_signal(error: NoSuchSignal) -> Problem:
    return invalid_parameter(
        "signal",
        str(error.args[0]),
        "must be a signal that the catalogue knows or that some provider has sent; a vehicle's own "
        "are in its snapshot",
    )


def _of_full_reads(error: ReadsFull) -> Problem:  # noqa: ARG001 — the kind says it all
    return overloaded("reads", "As many reads are waiting as may.")


_TRANSLATIONS: dict[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda problem: problem,
    IngestError: of_ingest_error,
    RequestValidationError: _of_validation,
    HTTPException: _of_http,
    NoSuchWorkspace: _of_workspace,
    NoSuchVehicle: _of_vehicle,
    dead_letters.NoSuchWorkspace: _of_letters,
    dead_letters.NoSuchLetter: _of_letter,
    ReplayRunning: _of_running_replay,
    NoSuchSignal: _of_signal,
    ReadsFull: _of_full_reads,
}
