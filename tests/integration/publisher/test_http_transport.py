import asyncio
import gc
import gzip
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from ingress_contracts.envelope import Envelope
from ingress_contracts.http import BATCH
from telematics_publisher.errors import (
    BatchRefused,
    ClockAhead,
    NotAuthorised,
    TransportError,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from telematics_publisher.records import Envelopes, Lane, Record, Stored
from telematics_publisher.transports import http
from telematics_publisher.transports.http import HttpTransport

if TYPE_CHECKING:
    from tests.integration.publisher.door import Door

pytestmark = pytest.mark.anyio
EPOCH = UUID("0190b0d0-0000-7000-8000-000000000001")
NOW = datetime(2026, 7, 14, 10, 15, tzinfo=UTC)


@pytest.fixture
async def transport(door: "Door") -> AsyncIterator[HttpTransport]:
    made = HttpTransport(f"{door.url}/", SecretStr("the-key"), deadline=5.0, now=lambda: NOW)
    yield made
    await made.aclose()


@pytest.fixture
def batch(lane: Lane) -> list[Envelope]:
    envelopes = Envelopes("acme", "edge-1")
    frame = b'{"type":"vehicles","payload":{"vid":"arcc_004","label":"soc","value":5,"time":17}}'
    return [
        envelopes.of(Stored(EPOCH, number, Record(lane, number, "arcc_004", frame)))
        for number in range(1, 101)
    ]


async def test_posts_a_compressed_batch_with_the_key(
    door: "Door", transport: HttpTransport, batch: list[Envelope]
) -> None:
    await transport.publish(batch)
    (request,) = door.requests
    assert (request.method, request.path) == ("POST", "/v1/provider-ingest")
    assert request.headers["authorization"] == "Bearer the-key"
    assert request.headers["content-type"] == BATCH
    assert request.headers["content-encoding"] == "gzip"
    assert len(request.raw) * 10 < len(gzip.decompress(request.raw))
    assert request.items == batch


@pytest.mark.parametrize(
    "case",
    [
        (201, UnexpectedAnswer),
        (204, UnexpectedAnswer),
        (302, UnexpectedAnswer),
        (400, BatchRefused),
        (401, NotAuthorised),
        (403, NotAuthorised),
        (404, UnexpectedAnswer),
        (405, UnexpectedAnswer),
        (408, Unavailable),
        (413, BatchRefused),
        (415, UnexpectedAnswer),
        (422, BatchRefused),
        (425, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
async def test_each_status_has_its_meaning(
    door: "Door",
    transport: HttpTransport,
    batch: list[Envelope],
    doors: Any,
    case: tuple[int, type[TransportError]],
) -> None:
    status, kind = case
    door.script.append(lambda _: doors.Reply(status))
    with pytest.raises(TransportError) as caught:
        await transport.publish(batch)
    assert type(caught.value) is kind
    assert f"HTTP {status}" in str(caught.value)


async def test_retry_after_may_be_a_date(
    door: "Door", transport: HttpTransport, batch: list[Envelope], doors: Any
) -> None:
    headers = {"retry-after": "Tue, 14 Jul 2026 10:15:20 GMT"}
    door.script.append(lambda _: doors.Reply(429, headers=headers))
    with pytest.raises(Unavailable) as caught:
        await transport.publish(batch)
    assert caught.value.retry_after == 20.0


async def test_a_problem_speaks_in_the_error(
    door: "Door", transport: HttpTransport, batch: list[Envelope], doors: Any
) -> None:
    problem = b'{"title":"Clock ahead","detail":"the edge is 400 s ahead\\nof core"}'
    door.script.append(lambda _: doors.Reply(503, problem))
    with pytest.raises(Unavailable, match="HTTP 503: Clock ahead: the edge is 400 s ahead of core"):
        await transport.publish(batch)


async def test_a_clock_ahead_is_told_apart_with_its_numbers_and_its_remedy(
    door: "Door", transport: HttpTransport, batch: list[Envelope], doors: Any
) -> None:
    problem = (
        b'{"type":"urn:telematics-ingress:problem:clock-ahead","title":"Ahead","detail":"by far",'
        b'"remedy":"Set the clock.","ahead_seconds":7200.5,"skew_seconds":300}'
    )
    door.script.append(lambda _: doors.Reply(503, problem, {"retry-after": "30"}))
    with pytest.raises(ClockAhead, match=r"HTTP 503: Ahead: by far Set the clock\.") as caught:
        await transport.publish(batch)
    assert (caught.value.ahead_seconds, caught.value.skew_seconds) == (7200.5, 300.0)
    assert caught.value.retry_after == 30.0


@pytest.mark.parametrize(
    "body", [b"", b"<html>Welcome to our network</html>", b"{}", b'{"outcomes":[]}']
)
async def test_a_success_that_does_not_speak_of_each_envelope_is_none(
    door: "Door", transport: HttpTransport, batch: list[Envelope], doors: Any, body: bytes
) -> None:
    door.script.append(lambda _: doors.Reply(200, body))
    with pytest.raises(UnexpectedAnswer):
        await transport.publish(batch)


async def test_no_error_shows_the_key(batch: list[Envelope]) -> None:
    transport = HttpTransport(
        "http://user:hidden-password@127.0.0.1:1", SecretStr("the-key"), deadline=5.0
    )
    with pytest.raises(Unreachable) as caught:
        await transport.publish(batch)
    await transport.aclose()
    assert "hidden-password" not in str(caught.value)
    assert "the-key" not in str(caught.value)


async def test_batches_are_encoded_one_by_one_so_that_a_small_one_does_not_overtake(
    monkeypatch: pytest.MonkeyPatch, transport: HttpTransport, batch: list[Envelope]
) -> None:
    steps: list[tuple[str, int]] = []
    encode = http._encode

    def noted(part: Sequence[Envelope]) -> bytes:
        steps.append(("begun", len(part)))
        body = encode(part)
        steps.append(("done", len(part)))
        return body

    monkeypatch.setattr(http, "_encode", noted)
    sizes = [100, 1, 50, 2, 25]

    async with asyncio.TaskGroup() as group:
        for size in sizes:
            group.create_task(transport.publish(batch[:size]))

    assert steps == [(step, size) for size in sizes for step in ("begun", "done")]


async def test_answered_request_leaves_nothing_to_the_garbage_collector(
    transport: HttpTransport, batch: list[Envelope]
) -> None:
    def exchanges() -> dict[int, object]:
        kinds = (httpx.Request, httpx.Response)
        return {id(one): one for one in gc.get_objects() if isinstance(one, kinds)}

    await transport.publish(batch)
    gc.collect()
    gc.disable()
    try:
        others = exchanges()  # what the fixtures of other tests still hold
        await transport.publish(batch)
        left = exchanges().keys() - others.keys()
    finally:
        gc.enable()

    assert not left
