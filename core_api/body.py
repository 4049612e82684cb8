"""The body of an ingest request: read with a cap, inflated with a cap, never more than both."""

import asyncio
import zlib
from collections.abc import AsyncIterable, Callable, Iterator

from core_api.problems import (
    BODY_TIMEOUT,
    TOO_LARGE,
    UNREADABLE_BODY,
    UNSUPPORTED_MEDIA,
    Problem,
)

_GZIP_WINDOW = 31  # zlib's window bits for the gzip format (RFC 1952)


async def read_body(  # noqa: PLR0913 — four limits, each named
    chunks: AsyncIterable[bytes],
    *,
    encoding: str | None,
    hold: Callable[[int], None],
    max_bytes: int,
    max_expanded: int,
    seconds: float,
) -> bytes:
    """Return the whole body, inflated where `encoding` (Content-Encoding) is gzip.

    At most `max_bytes` are read and at most `max_expanded` bytes are made of them: a bomb is cut
    off early, in the middle of its stream. `hold` is told of each piece before it is kept and may
    raise. Raises Problem: 400 for a broken gzip stream, 408 after `seconds`, 413 above a cap, 415
    for another encoding.
    """
    expand = _expander(encoding, max_expanded)
    pieces: list[bytes] = []
    read = made = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                read += len(chunk)
                if read > max_bytes:
                    raise _too_large(f"The body is larger than {max_bytes} bytes.")
                for piece in expand(chunk):
                    made += len(piece)
                    if made > max_expanded:
                        raise _too_large(f"The body is larger than {max_expanded} bytes inflated.")
                    hold(len(piece))
                    pieces.append(piece)
    except TimeoutError:
        raise Problem(
            BODY_TIMEOUT,
            f"The body did not arrive within {seconds:g} s; {read} bytes came.",
            "Send the request again, smaller or over a faster line.",
        ) from None
    pieces.extend(expand(None))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(detail: str) -> Problem:
    return Problem(TOO_LARGE, detail, "Split the batch and send its parts.")


def _expander(encoding: str | None, max_expanded: int) -> Callable[[bytes | None], Iterator[bytes]]:
    match (encoding or "identity").strip().lower():
        case "identity":
            return _identity
        case "gzip" | "x-gzip":
            return _Gunzip(max_expanded)
        case other:
            raise Problem(
                UNSUPPORTED_MEDIA,
                f"Content-Encoding {other!r} is not supported.",
                "Send the body as it is, or with Content-Encoding: gzip.",
                headers={"accept-encoding": "gzip"},
            )


def _identity(chunk: bytes | None) -> Iterator[bytes]:
    if chunk:
        yield chunk


class _Gunzip:
    """Inflates chunk by chunk, in pieces of bounded size; None says that the stream has ended."""

    def __init__(self, max_expanded: int) -> None:
        self._piece = min(max_expanded + 1, 1024 * 1024)
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False

    def __call__(self, chunk: bytes | None) -> Iterator[bytes]:
        if chunk is None:
            if not self._inflater.eof:
                raise _broken("it ends early" if self._begun else "it is empty")
            return
        while chunk:
            self._begun = True
            if self._inflater.eof:  # members can follow each other (RFC 1952, 2.2)
                self._inflater = zlib.decompressobj(_GZIP_WINDOW)
            try:
                piece = self._inflater.decompress(chunk, self._piece)
            except zlib.error as error:
                raise _broken(str(error)) from None
            if piece:
                yield piece
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data


def _broken(why: str) -> Problem:
    return Problem(
        UNREADABLE_BODY,
        f"The body is not a whole gzip stream: {why}.",
        "Compress the body with gzip, or leave Content-Encoding out.",
    )
