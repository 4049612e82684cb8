"""What arrives on a socket from somebody who does not play by the rules."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import anyio
import pytest
import uvicorn
from prometheus_client import REGISTRY
from uvicorn.server import ServerState

from core_api.connection import Limits, connection_class

pytestmark = pytest.mark.anyio

GET = b"GET /one HTTP/1.1\r\nhost: core\r\n\r\n"
PATIENT = Limits(head_bytes=4_096, head_seconds=60, connections=10)


@dataclass
class Echo:
    """An application that remembers what it was asked and answers how long the body was.

    POST /unread answers without a look at the body; POST /held when it is let; GET /long at length.
    """

    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    let: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["path"] != "/unread"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        if scope["path"] == "/held":
            await self.let.wait()
        self.asked.append((scope["method"], scope["path"], body))
        self.fields += scope["headers"]
        answer = b"%d" % len(body) if scope["path"] != "/long" else b"x" * 10**7
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@dataclass
class Site:
    port: int
    state: ServerState
    echo: Echo

    @asynccontextmanager
    async def line(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def answer(self, sent: bytes) -> bytes:
        """Send bytes and return all that comes back until the server closes."""
        async with self.line() as (reader, writer):
            writer.write(sent)
            with anyio.fail_after(20):
                return await reader.read()


@asynccontextmanager
async def serving(limits: Limits = PATIENT, idle_seconds: int = 75) -> AsyncIterator[Site]:
    echo, state = Echo(), ServerState()
    config = uvicorn.Config(
        echo, lifespan="off", log_config=None, ws="none", timeout_keep_alive=idle_seconds
    )
    made = partial(connection_class(limits), config, state, {})
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    try:
        yield Site(server.sockets[0].getsockname()[1], state, echo)
    finally:
        echo.let.set()
        server.close()
        await until(lambda: not state.connections)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def problem(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    return json.loads(body)


def refused(reason: str) -> float:
    name = "core_api_refused_connections_total"
    return REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0


CHUNKED = b"transfer-encoding: chunked\r\n"
POST = b"POST /one HTTP/1.1\r\nhost: core\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: core\r\n\r\n"

AMBIGUOUS = {
    "both lengths": POST + b"content-length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "both, the other way": POST + CHUNKED + b"content-length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": POST + b"content-length: 0\r\ncontent-length: 41\r\n\r\n" + SMUGGLED,
    "two equal lengths": POST + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "list of lengths": POST + b"content-length: 5, 5\r\n\r\nhello",
    "length with a sign": POST + b"content-length: +5\r\n\r\nhello",
    "length with an underscore": POST + b"content-length: 1_0\r\n\r\n0123456789",
    "hexadecimal length": POST + b"content-length: 0x5\r\n\r\nhello",
    "negative length": POST + b"content-length: -5\r\n\r\nhello",
    "length beyond 64 bits": POST + b"content-length: 18446744073709551621\r\n\r\nhello",
    "empty length": POST + b"content-length: \r\n\r\n" + SMUGGLED,
    "chunked, then something": POST + b"transfer-encoding: chunked, identity\r\n\r\n" + SMUGGLED,
    "chunked twice": POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "unknown coding": POST + b"transfer-encoding: xchunked\r\n\r\n" + SMUGGLED,
    "chunked in disguise": POST + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "coding in HTTP/1.0": b"POST /one HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "space before the colon": POST + b"content-length : 5\r\n\r\nhello",
    "space before the field": POST + b" content-length: 5\r\n\r\nhello",
    "folded field": POST + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "folded coding": POST + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "field without colon": POST + b"content-length 5\r\n\r\nhello",
    "field without name": POST + b": 5\r\n\r\n",
    "zero byte in a field": POST + b"x: a\x00b\r\n\r\n",
    "zero byte in a name": POST + b"x\x00y: a\r\n\r\n",
    "bare CR in a field": POST + b"x: a\rcontent-length: 5\r\n\r\n",
    "bare LF after a field": POST + b"content-length: 5\n\r\nhello",
    "bare LF at the head's end": POST + b"content-length: 5\r\n\nhello",
    "bare LF after the request line": b"POST /one HTTP/1.1\nhost: core\r\n\r\n",
    "bare LF after a chunk's size": POST + CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n",
    "bare LF after a chunk": POST + CHUNKED + b"\r\n5\r\nhello\n0\r\n\r\n",
    "chunk longer than it says": POST + CHUNKED + b"\r\n3\r\nhello\r\n0\r\n\r\n",
    "size with a sign": POST + CHUNKED + b"\r\n+5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": POST + CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "size beyond 64 bits": POST + CHUNKED + b"\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    "no size": POST + CHUNKED + b"\r\n\r\nhello\r\n0\r\n\r\n",
    "extension with a bare LF": POST + CHUNKED + b"\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
    "no host": b"GET /one HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /one HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "two keys": POST + b"authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
    "two types": POST + b"content-type: a/b\r\ncontent-type: c/d\r\n\r\n",
    "HTTP/0.9": b"GET /one\r\n\r\n",
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET /one HTTP/1.2\r\nhost: core\r\n\r\n",
    "HTTP/3": b"GET /one HTTP/3.0\r\nhost: core\r\n\r\n",
    "unknown method": b"GRAB /one HTTP/1.1\r\nhost: core\r\n\r\n",
    "tunnel": b"CONNECT core:80 HTTP/1.1\r\nhost: core\r\n\r\n",
    "no path": b"GET HTTP/1.1\r\nhost: core\r\n\r\n",
    "space in the path": b"GET /o ne HTTP/1.1\r\nhost: core\r\n\r\n",
    "byte beyond ASCII in the path": b"GET /\xff HTTP/1.1\r\nhost: core\r\n\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "noise": b"\x00\xff\x00\xff\r\n\r\n",
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_request_that_two_parsers_could_read_in_two_ways_is_400_and_the_last_one(
    sent: bytes,
) -> None:
    async with serving() as site:
        answer = await site.answer(sent)

    assert status(answer) == 400
    assert problem(answer)["type"] == "urn:telematics-ingress:problem:malformed-request"
    assert re.findall(rb"HTTP/1\.1 \d+ ", answer) == [b"HTTP/1.1 400 "]
    assert site.echo.asked == []


async def test_whatever_is_cut_where_reads_the_same() -> None:
    whole = POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"
    async with serving() as site, site.line() as (reader, writer):
        for byte in whole:
            writer.write(bytes([byte]))
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")

    assert status(head) == 200
    assert site.echo.asked == [("POST", "/one", b"hello")]


async def test_requests_in_a_row_on_one_connection_are_answered_in_their_order() -> None:
    row = [POST + b"content-length: %d\r\n\r\n" % size + b"x" * size for size in (3, 0, 5)]
    async with serving() as site:
        answer = await site.answer(
            b"".join(row) + GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        )

    assert [len(body) for _, _, body in site.echo.asked] == [3, 0, 5, 0]
    assert answer.count(b"HTTP/1.1 200") == 4


async def test_nonsense_after_a_good_request_never_takes_its_answers_place() -> None:
    async with serving() as site, site.line() as (reader, writer):
        writer.write(POST.replace(b"/one", b"/held") + b"content-length: 2\r\n\r\nhi")
        writer.write(b"\x00\x00\r\n\r\n")
        answer = await reader.read()

    assert answer == b""  # it may have been stored: no answer, so that the client asks again


async def test_wish_for_another_protocol_is_answered_in_http_and_ends_the_connection() -> None:
    wish = GET.replace(
        b"\r\n\r\n", b"\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n"
    )
    async with serving() as site:
        answer = await site.answer(wish + SMUGGLED)

    assert status(answer) == 200
    assert site.echo.asked == [("GET", "/one", b"")]


@pytest.mark.parametrize(
    "head",
    [
        b"".join(b"x-%d: 1\r\n" % number for number in range(200)),
        b"x: " + b"a" * 5_000 + b"\r\n",
        b"x" * 5_000 + b": a\r\n",
    ],
    ids=["many fields", "long value", "long name"],
)
async def test_flood_of_fields_is_431(head: bytes) -> None:
    async with serving() as site:
        answer = await site.answer(POST + head + b"content-length: 0\r\n\r\n")

    assert status(answer) == 431
    assert problem(answer)["type"] == "urn:telematics-ingress:problem:head-too-large"
    assert site.echo.asked == []


async def test_long_target_is_431() -> None:
    async with serving() as site:
        answer = await site.answer(b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\nhost: core\r\n\r\n")

    assert status(answer) == 431


@pytest.mark.parametrize(
    "begun",
    [b"x: ", CHUNKED + b"\r\n5\r\nhello\r\n0\r\nx: ", CHUNKED + b"\r\n5;"],
    ids=["field", "trailer", "extension of a chunk"],
)
async def test_what_is_no_body_and_has_no_end_is_431_before_it_fills_the_memory(
    begun: bytes,
) -> None:
    before = refused("head_too_large")
    async with serving() as site, site.line() as (reader, writer):
        writer.write(POST + begun)
        sent = 0
        while refused("head_too_large") == before:
            writer.write(b"a" * 1_024)
            sent += 1_024
            await asyncio.sleep(0)
            assert sent < 10**7
        answer = await reader.readuntil(b"\r\n\r\n")

    assert status(answer) == 431
    assert site.echo.asked == []


async def test_head_at_its_limits_is_taken() -> None:
    fields = b"".join(b"x-%d: 1\r\n" % number for number in range(99))
    async with serving() as site:
        answer = await site.answer(
            POST + fields[: -len(b"x-98: 1\r\n")] + b"connection: close\r\n\r\n"
        )

    assert status(answer) == 200


@pytest.mark.parametrize(
    "begun",
    [b"", b"\r\n", b"GET", b"GET / HTTP/1.1\r\nhost: core\r\nx: a"],
    ids=["nothing", "empty line", "half a line", "half a head"],
)
async def test_head_that_does_not_arrive_is_408(begun: bytes) -> None:
    async with serving(Limits(4_096, 0.05, 10)) as site:
        answer = await site.answer(begun)

    assert status(answer) == 408
    assert problem(answer)["type"] == "urn:telematics-ingress:problem:head-timeout"


async def test_head_that_trickles_is_cut_off_however_alive_it_looks() -> None:
    before = refused("head_late")
    async with serving(Limits(10**6, 0.05, 10)) as site, site.line() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: core\r\nx: a")
        with anyio.fail_after(20):
            while refused("head_late") == before:
                writer.write(b"a")
                await asyncio.sleep(0.001)
        answer = await reader.readuntil(b"\r\n\r\n")

    assert status(answer) == 408


async def test_second_head_on_a_connection_has_its_deadline_too() -> None:
    async with serving(Limits(4_096, 0.05, 10)) as site, site.line() as (reader, writer):
        writer.write(GET)
        first = await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"\r\n")
        second = await reader.read()

    assert (status(first), status(second)) == (200, 408)


async def test_request_that_takes_longer_than_a_head_may_is_left_alone() -> None:
    async with serving(Limits(4_096, 0.02, 10)) as site, site.line() as (reader, writer):
        writer.write(POST.replace(b"/one", b"/held") + b"content-length: 2\r\n\r\nhi")
        late = asyncio.get_running_loop().call_later(0.1, site.echo.let.set)
        head = await reader.readuntil(b"\r\n\r\n")

    assert late.cancelled() is False
    assert status(head) == 200


async def test_body_that_nobody_waits_for_does_not_hold_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core_api.connection._LINGER_SECONDS", 0.05)
    before = refused("body_late")
    async with serving() as site:
        answer = await site.answer(
            POST.replace(b"/one", b"/unread") + b"content-length: 99\r\n\r\n"
        )

    assert status(answer) == 200
    assert refused("body_late") == before + 1


async def test_nonsense_after_an_answer_gets_no_second_one() -> None:
    async with serving() as site, site.line() as (reader, writer):
        writer.write(POST.replace(b"/one", b"/unread") + CHUNKED + b"\r\n")
        first = await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"nonsense\r\n")
        rest = await reader.read()

    assert status(first) == 200
    assert rest == b""


async def test_trailer_is_no_part_of_the_head() -> None:
    sent = POST + CHUNKED + b"connection: close\r\n\r\n5\r\nhello\r\n0\r\nx-api-key: a\r\n\r\n"
    async with serving() as site:
        answer = await site.answer(sent)

    assert status(answer) == 200
    assert site.echo.asked == [("POST", "/one", b"hello")]
    assert b"x-api-key" not in dict(site.echo.fields)


async def test_body_in_many_small_chunks_is_taken() -> None:
    whole = POST + CHUNKED + b"connection: close\r\n\r\n" + b"1;a=b\r\nx\r\n" * 5_000 + b"0\r\n\r\n"
    async with serving() as site:
        answer = await site.answer(whole)

    assert status(answer) == 200
    assert site.echo.asked == [("POST", "/one", b"x" * 5_000)]


@pytest.mark.parametrize(
    "asked",
    [GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), GET * 2],
    ids=["last one", "two in a row"],
)
async def test_answer_that_its_client_does_not_read_does_not_hold_the_connection(
    asked: bytes,
) -> None:
    async with serving(idle_seconds=0) as site, site.line() as (reader, writer):
        cast("asyncio.Transport", writer.transport).pause_reading()
        writer.write(asked.replace(b"/one", b"/long"))
        await until(lambda: bool(site.echo.asked))
        await until(lambda: not site.state.connections)
        assert not reader.at_eof()


async def test_connections_beyond_the_limit_get_503_and_others_go_on() -> None:
    async with serving(Limits(4_096, 60, 1)) as site, site.line() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n0")
        second = await site.answer(GET)
        writer.write(GET)
        first = await reader.readuntil(b"\r\n\r\n0")
        writer.transport.abort()
        await until(lambda: not site.state.connections)
        third = await site.answer(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))

    assert (status(first), status(second), status(third)) == (200, 503, 200)
    assert problem(second)["type"] == "urn:telematics-ingress:problem:overloaded"
    assert b"retry-after: " in second


async def until(condition: Callable[[], bool]) -> None:
    """Return once the server is so; it has no event for it."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 — uvicorn's state is plain sets
            await asyncio.sleep(0.001)
