"""The body of an ingest request: read with a cap, inflated with a cap, never more than both."""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterator

from core_api.inflate import ENCODINGS, Broken, Inflater, inflater
from core_api.problems import (
    BODY_TIMEOUT,
    TOO_LARGE,
    UNREADABLE_BODY,
    UNSUPPORTED_MEDIA,
    Problem,
)


async def read_body(  # noqa: PLR0913 — four limits, each named
    chunks: AsyncIterable[bytes],
    *,
    encoding: str | None,
    hold: Callable[[int], None],
    max_bytes: int,
    max_expanded: int,
    seconds: float,
) -> bytes:
    """Return the whole body, inflated where `encoding` (Content-Encoding) is gzip or zstd.

    At most `max_bytes` are read and at most `max_expanded` bytes are made of them: a bomb is cut
    off early, in the middle of its stream. `hold` is told of each piece before it is kept and may
    raise. Raises Problem: 400 for a broken stream, 408 after `seconds`, 413 above a cap, 415
    for another encoding.
    """
    coding = (encoding or "identity").strip().lower()
    inflate = _inflater(coding, max_expanded)
    pieces: list[bytes] = []
    read = made = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                read += len(chunk)
                if read > max_bytes:
                    raise _too_large(f"The body is larger than {max_bytes} bytes.")
                for piece in inflate.feed(chunk) if inflate else _whole(chunk):
                    made += len(piece)
                    if made > max_expanded:
                        raise _too_large(f"The body is larger than {max_expanded} bytes inflated.")
                    hold(len(piece))
                    pieces.append(piece)
        if inflate:
            inflate.end()
    except TimeoutError:
        raise Problem(
            BODY_TIMEOUT,
            f"The body did not arrive within {seconds:g} s; {read} bytes came.",
            "Send the request again, smaller or over a faster line.",
        ) from None
    except Broken as error:
        raise _broken(coding, error) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(detail: str) -> Problem:
    return Problem(TOO_LARGE, detail, "Split the batch and send its parts.")


def _inflater(coding: str, max_expanded: int) -> Inflater | None:
    if coding == "identity":
        return None
    if found := inflater(coding, max_expanded):
        return found
    raise Problem(
        UNSUPPORTED_MEDIA,
        f"Content-Encoding {coding!r} is not supported.",
        "Send the body as it is, or with Content-Encoding: gzip or zstd.",
        headers={"accept-encoding": ENCODINGS},
    )


def _whole(chunk: bytes) -> Iterator[bytes]:
    if chunk:
        yield chunk


def _broken(coding: str, error: Broken) -> Problem:
    return Problem(
        UNREADABLE_BODY,
        f"The body is not a whole {coding} stream: {error}.",
        f"Compress the body with {coding}, or leave Content-Encoding out.",
    )
