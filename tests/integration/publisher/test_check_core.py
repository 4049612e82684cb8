"""What is found of core, its clock and the keys, by `ingress publisher check` and the doctor."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingress_contracts.http import encode_answer
from ingress_contracts.probe import TAKEN, end_detail
from ingress_runtime.findings import Level
from tests.integration.publisher.edge import KEY_ID, SECRETS, Edge

if TYPE_CHECKING:
    from tests.integration.publisher.door import Door

pytestmark = pytest.mark.anyio


def answers(doors: Any, status: int, problem: dict[str, object]) -> Callable[[Any], Any]:
    """Let core be ready, and its ingest door answer with a problem."""

    def reply(request: Any) -> Any:
        if request.path == "/readyz":
            return doors.Reply(200, b'{"ready":true}')
        return doors.Reply(status, json.dumps(problem).encode())

    return reply


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("foreign_workspace", "it is valid, but for another workspace than acme"),
        ("foreign_publisher", "it is valid, but for another publisher than edge-1"),
        ("invalid_data", "core answers the question in its own way: invalid_data"),
    ],
)
async def test_a_key_that_is_bound_elsewhere_is_told(
    edge: Edge, core: "Door", doors: Any, reason: str, found: str
) -> None:
    core.reply = lambda request: (
        doors.Reply(200, b'{"ready":true}')
        if request.path == "/readyz"
        else doors.accept(request, refused=[0], reason=reason)
    )
    finding = (await edge.examine())["key of acme"]
    assert (finding.level, finding.found) == (Level.FAIL, found)


async def test_a_key_that_ends_wants_its_successor_in_time(
    edge: Edge, core: "Door", doors: Any
) -> None:
    ends = datetime.now(UTC) + timedelta(hours=23, minutes=30)
    taken = (None, "refused", TAKEN, end_detail(ends))
    core.reply = lambda request: doors.Reply(
        200,
        b'{"ready":true}' if request.path == "/readyz" else encode_answer([taken]),
    )
    finding = (await edge.examine())["key of acme"]
    assert finding.level is Level.WARN
    assert "bound to workspace acme and publisher edge-1, but it ends in 23 h, at 2" in (
        finding.found
    )
    assert str(finding.remedy).startswith("Put its successor where `api_key` in streams.toml")
    assert "it reads keys only at its start" in str(finding.remedy)


async def test_a_key_that_core_does_not_take_is_told_with_core_s_words(
    edge: Edge, core: "Door", doors: Any
) -> None:
    problem: dict[str, object] = {
        "title": "A valid API key is needed",
        "detail": "Revoked.",
        "remedy": "`ingress keys create` makes another.",
    }
    core.reply = answers(doors, 401, problem)
    finding = (await edge.examine())["key of acme"]
    assert finding.level is Level.FAIL
    assert finding.found == (
        f"core does not take {KEY_ID} of environment variable INGEST_KEY for workspace acme: "
        "HTTP 401: A valid API key is needed: Revoked."
    )
    assert "environment variable INGEST_KEY" in str(finding.remedy)
    assert "ingress keys create --role ingest --workspace acme --publisher edge-1" in str(
        finding.remedy
    )


async def test_a_text_that_is_no_key_is_told_before_it_is_sent_anywhere(
    edge: Edge, core: "Door", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_KEY", f"key: {SECRETS['INGEST_KEY']}")
    finding = (await edge.check(seconds=0.05))["key of acme"]
    assert finding.level is Level.FAIL
    assert finding.found.startswith("environment variable INGEST_KEY holds no key: there is more")
    assert {request.path for request in core.requests} == {"/readyz"}


async def test_a_core_that_has_no_time_is_told(edge: Edge, core: "Door", doors: Any) -> None:
    core.reply = answers(doors, 503, {"title": "The database is away"})
    assert "did not say" in (await edge.examine())["key of acme"].found


async def test_a_core_that_is_not_there_is_told_once(edge: Edge) -> None:
    edge.api_url = "http://127.0.0.1:1"
    found = await edge.examine()
    assert found["core"].level is Level.FAIL
    assert "ingress api" in str(found["core"].remedy)
    assert "key of acme" not in found


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((200, b"<html>hello</html>"), "is something else"),
        ((404, b'{"title":"not here"}'), "is something else"),
        ((503, b'{"objections":["x"],"detail":"Migrations are pending."}'), "is not ready: Migr"),
    ],
)
async def test_an_answer_that_is_not_a_ready_core_s_is_told(
    edge: Edge, core: "Door", doors: Any, answer: tuple[int, bytes], found: str
) -> None:
    core.reply = lambda _request: doors.Reply(*answer)
    finding = (await edge.examine())["core"]
    assert finding.level is Level.FAIL
    assert found in finding.found


async def test_a_core_that_speaks_http_where_https_was_asked_for_is_told(edge: Edge) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        edge.api_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finding = (await edge.examine())["core"]
    assert finding.level is Level.FAIL
    assert finding.found == f"{edge.api_url} does not answer: it speaks http there, not https"
    assert "INGRESS_API_URL" in str(finding.remedy)


async def test_a_clock_that_is_two_hours_ahead_is_told(
    edge: Edge, core: "Door", doors: Any
) -> None:
    headers = {"date": "Thu, 01 Jan 2026 12:00:00 GMT"}
    core.reply = lambda _request: doors.Reply(200, b'{"ready":true}', headers)
    finding = (await edge.examine())["clock"]
    assert finding.level is Level.FAIL
    assert "ahead of core's" in finding.found
    assert "NTP" in str(finding.remedy)
