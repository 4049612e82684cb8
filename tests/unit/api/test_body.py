import asyncio
import gzip
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from core_api.body import read_body
from core_api.problems import Problem

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio


class Line:
    """A body that arrives in pieces; counts those that were asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = list(pieces)
        self.asked = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.asked += 1
            yield piece


async def read(
    line: Line, encoding: str | None = None, max_bytes: int = 1_000, max_expanded: int = 5_000
) -> tuple[bytes, int]:
    """Return the body and the bytes that were held for it."""
    held: list[int] = []
    body = await read_body(
        line,
        encoding=encoding,
        hold=held.append,
        max_bytes=max_bytes,
        max_expanded=max_expanded,
        seconds=30,
    )
    return body, sum(held)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("encoding", [None, "identity", " Identity "])
async def test_plain_body_is_read_as_it_is(encoding: str | None) -> None:
    assert await read(Line([b"ab", b"", b"c"]), encoding) == (b"abc", 3)
    assert await read(Line([]), encoding) == (b"", 0)


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def with_window(data: bytes, log: int) -> bytes:
    """Compress as a sender does that streams: the frame names its window, not its size."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
    return compressor.compress(data) + compressor.flush()


CODINGS = pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzipped), ("zstd", zstd.compress)]
)
Compress = Callable[[bytes], bytes]


@CODINGS
@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_body_is_inflated_however_it_is_cut(
    coding: str, compress: Compress, size: int
) -> None:
    data = bytes(range(256)) * 10

    assert await read(Line(cut(compress(data), size)), coding) == (data, len(data))


@CODINGS
async def test_members_may_follow_each_other(coding: str, compress: Compress) -> None:
    pieces = cut(compress(b"one ") + compress(b"two"), 5)

    assert await read(Line(pieces), coding.upper()) == (b"one two", 7)


@CODINGS
async def test_members_without_end_are_cut_off(coding: str, compress: Compress) -> None:
    with pytest.raises(Problem) as caught:
        await read(Line(cut(compress(b"") * 2_000, 1_000)), coding, max_bytes=10**6)

    assert caught.value.type.status == 400
    assert "1000 parts" in caught.value.detail


async def test_zstd_window_is_bounded_as_http_bounds_it() -> None:
    data = bytes(range(256))

    assert (await read(Line([with_window(data, 23)]), "zstd"))[0] == data
    with pytest.raises(Problem) as caught:
        await read(Line([with_window(data, 24)]), "zstd")
    assert caught.value.type.status == 400
    assert "memory" in caught.value.detail


async def test_body_at_its_limit_is_taken_and_one_byte_more_is_413() -> None:
    assert (await read(Line([b"x" * 1_000])))[1] == 1_000
    assert (await read(Line([gzipped(b"x" * 5_000)]), "gzip"))[1] == 5_000
    assert (await read(Line([zstd.compress(b"x" * 5_000)]), "zstd"))[1] == 5_000
    for line, encoding in (
        (Line([b"x" * 1_000, b"x"]), None),
        (Line([gzipped(b"x" * 5_001)]), "gzip"),
        (Line([zstd.compress(b"x" * 5_001)]), "zstd"),
    ):
        with pytest.raises(Problem) as caught:
            await read(line, encoding)
        assert caught.value.type.status == 413


@CODINGS
async def test_bomb_is_cut_off_in_the_middle_of_its_stream(coding: str, compress: Compress) -> None:
    bomb = Line(cut(compress(b"\0" * 20_000_000), 100))

    with pytest.raises(Problem) as caught:
        await read(bomb, coding, max_bytes=1_000_000)

    assert caught.value.type.status == 413
    assert "inflated" in caught.value.detail
    assert bomb.asked < 5 < len(bomb.pieces)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b""),
        ("gzip", b"no gzip at all"),
        ("gzip", gzipped(b"whole")[:-1]),
        ("gzip", gzipped(b"whole")[:-8] + b"\0" * 8),
        ("gzip", gzipped(b"whole") + b"more"),
        ("gzip", zlib.compress(b"another format")),
        ("zstd", b""),
        ("zstd", b"no zstd at all"),
        ("zstd", zstd.compress(b"whole")[:-1]),
        ("zstd", zstd.compress(b"whole") + b"more"),
        ("zstd", gzipped(b"another format")),
    ],
)
async def test_broken_stream_is_400(coding: str, body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        await read(Line([body]), coding)

    assert caught.value.type.status == 400
    assert coding in caught.value.detail


async def test_other_encoding_is_415_and_says_which_is_read() -> None:
    with pytest.raises(Problem) as caught:
        await read(Line([b"x"]), "br")

    assert caught.value.type.status == 415
    assert caught.value.headers == {"accept-encoding": "gzip, zstd"}


async def test_body_that_does_not_arrive_is_408() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.Event().wait()

    with pytest.raises(Problem) as caught:
        await read_body(
            stalled(),
            encoding=None,
            hold=lambda _: None,
            max_bytes=100,
            max_expanded=100,
            seconds=0.001,
        )

    assert caught.value.type.status == 408
    assert "5 bytes" in caught.value.detail
