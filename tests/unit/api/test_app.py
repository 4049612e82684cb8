"""The application without anything behind it: problems, probes and the description."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog

from core_api import app as app_module
from core_api import error_answers
from core_api.app import create_app, openapi
from core_api.settings import ApiSettings
from core_ingest.errors import ClockAhead, IngestError, SchemaOutdated, StoreUnavailable

pytestmark = pytest.mark.anyio


class Broken:
    """Services of which every one fails as nobody expected."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(f"secret of {name}")


@asynccontextmanager
async def client(services: Any = None) -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        yield services

    app = create_app(opened)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://core") as connected,
    ):
        yield connected


def check_problem(answer: httpx.Response, status: int, slug: str) -> Any:
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:telematics-ingress:problem:{slug}"
    assert all(problem[member] for member in ("title", "detail", "remedy"))
    return problem


async def test_unknown_path_is_a_problem() -> None:
    async with client() as connected:
        check_problem(await connected.get("/v2/anything"), 404, "not-found")


async def test_docs_lead_to_the_description_and_load_nothing_from_elsewhere() -> None:
    async with client() as connected:
        answer = await connected.get("/docs", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path == "/openapi.json"
    assert answer.headers["content-type"] == "application/json"


async def test_wrong_method_is_a_problem_that_names_the_right_one() -> None:
    async with client() as connected:
        answer = await connected.get("/v1/provider-ingest")

    problem = check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    assert "POST" in problem["detail"]


async def test_unexpected_failure_is_logged_with_a_reference_and_leaks_nothing() -> None:
    with structlog.testing.capture_logs() as logged:
        async with client(Broken()) as connected:
            answer = await connected.get("/readyz")

    problem = check_problem(answer, 500, "internal")
    assert problem["reference"] == logged[0]["reference"]
    assert logged[0]["event"] == "request_failed"
    assert logged[0]["route"] == "/readyz"
    assert "secret" not in answer.text
    assert "ZeroDivisionError" not in answer.text


async def test_process_is_alive_without_anything_behind_it() -> None:
    async with client(SimpleNamespace()) as connected:
        answer = await connected.get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"alive": True})


@pytest.mark.parametrize(
    ("error", "slug", "hint"),
    [
        (ClockAhead("edge-1", 512.25, 300), "clock-ahead", "512.2 s ahead"),
        (StoreUnavailable("host=10.1.2.3"), "store-unavailable", "database"),
        (SchemaOutdated("relation x"), "store-unavailable", "database"),
        (IngestError("anything"), "store-unavailable", "database"),
    ],
)
def test_every_error_of_the_heart_is_a_503_to_be_retried(
    error: IngestError, slug: str, hint: str
) -> None:
    problem = error_answers.of_ingest_error(error)

    assert (problem.type.status, problem.type.slug) == (503, slug)
    assert hint in problem.detail
    assert "10.1.2.3" not in problem.detail
    assert int(problem.headers["retry-after"]) > 0


def test_committed_description_is_up_to_date() -> None:
    committed = Path(app_module.__file__).with_name("openapi.json").read_text(encoding="utf-8")

    assert committed == json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n"


def test_description_refers_to_nothing_that_is_not_there() -> None:
    document = openapi()
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))

    assert references <= document["components"]["schemas"].keys()
    assert {"Problem", "Answer", "Accounting"} <= references


def test_every_route_but_the_probes_asks_for_a_key() -> None:
    for path, operations in openapi()["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) == path.startswith("/v1/")


def test_settings_hold_what_one_request_may_need() -> None:
    with pytest.raises(ValueError, match="CORE_API_WORK_ENVELOPES"):
        ApiSettings(work_envelopes=10, max_envelopes=11)
    with pytest.raises(ValueError, match="CORE_API_WORK_BYTES"):
        ApiSettings(work_bytes=1024 * 1024, max_expanded_bytes=2 * 1024 * 1024)
