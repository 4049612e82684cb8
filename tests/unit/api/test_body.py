import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Iterable

import pytest

from core_api.body import read_body
from core_api.problems import Problem

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


@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_gzip_is_inflated_however_it_is_cut(size: int) -> None:
    data = bytes(range(256)) * 10

    assert await read(Line(cut(gzip.compress(data, mtime=0), size)), "gzip") == (data, len(data))


async def test_gzip_members_may_follow_each_other() -> None:
    pieces = cut(gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0), 5)

    assert await read(Line(pieces), "GZIP") == (b"one two", 7)


async def test_body_at_its_limit_is_taken_and_one_byte_more_is_413() -> None:
    assert (await read(Line([b"x" * 1_000])))[1] == 1_000
    assert (await read(Line([gzip.compress(b"x" * 5_000, mtime=0)]), "gzip"))[1] == 5_000
    for line, encoding in (
        (Line([b"x" * 1_000, b"x"]), None),
        (Line([gzip.compress(b"x" * 5_001, mtime=0)]), "gzip"),
    ):
        with pytest.raises(Problem) as caught:
            await read(line, encoding)
        assert caught.value.type.status == 413


async def test_bomb_is_cut_off_in_the_middle_of_its_stream() -> None:
    bomb = Line(cut(gzip.compress(b"\0" * 20_000_000, mtime=0), 100))

    with pytest.raises(Problem) as caught:
        await read(bomb, "gzip", max_bytes=1_000_000)

    assert caught.value.type.status == 413
    assert "inflated" in caught.value.detail
    assert bomb.asked < 5 < len(bomb.pieces)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no gzip at all",
        gzip.compress(b"whole", mtime=0)[:-1],
        gzip.compress(b"whole", mtime=0)[:-8] + b"\0" * 8,
        gzip.compress(b"whole", mtime=0) + b"more",
        zlib.compress(b"another format"),
    ],
)
async def test_broken_gzip_is_400(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        await read(Line([body]), "gzip")

    assert caught.value.type.status == 400
    assert "gzip" in caught.value.detail


async def test_other_encoding_is_415_and_says_which_is_read() -> None:
    with pytest.raises(Problem) as caught:
        await read(Line([b"x"]), "br")

    assert caught.value.type.status == 415
    assert caught.value.headers == {"accept-encoding": "gzip"}


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
