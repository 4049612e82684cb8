"""Compressed bodies, inflated chunk by chunk in pieces of bounded size: gzip and zstd.

Both formats are series of members (RFC 1952, 2.2) or frames (RFC 8878, 3.1), of which each has its
own end. Opening one has a cost that its bytes do not show, so their number is bounded too.
"""

import sys
import zlib
from collections.abc import Callable, Iterator

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS = "gzip, zstd"
"""The content codings that are read, as Accept-Encoding lists them."""

_MOST_MEMBERS = 1_000
_PIECE = 1024 * 1024
_GZIP_WINDOW = 31  # zlib's window bits for the gzip format (RFC 1952)
_ZSTD_OPTIONS: dict[int, int] = {
    zstd.DecompressionParameter.window_log_max: 23  # 8 MiB, the most that HTTP allows (RFC 9659, 3)
}


class Broken(ValueError):
    """The bytes are not a whole stream of their coding."""


class _Gzip:
    def __init__(self) -> None:
        self.member = zlib.decompressobj(_GZIP_WINDOW)

    def expand(self, chunk: bytes, piece: int) -> Iterator[bytes]:
        while chunk:
            yield self.member.decompress(chunk, piece)
            chunk = self.member.unconsumed_tail


class _Zstd:
    def __init__(self) -> None:
        self.member = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)

    def expand(self, chunk: bytes, piece: int) -> Iterator[bytes]:
        yield self.member.decompress(chunk, piece)
        while not (self.member.eof or self.member.needs_input):
            yield self.member.decompress(b"", piece)


class Inflater:
    """Turns chunks of a compressed body into pieces of at most 1 MiB, and at most `most` + 1 bytes.

    `end` says that the last chunk came. Both raise Broken.
    """

    def __init__(self, opened: Callable[[], _Gzip | _Zstd], most: int) -> None:
        self._opened = opened
        self._piece = min(most + 1, _PIECE)
        self._stream: _Gzip | _Zstd | None = None
        self._members = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what `chunk` adds to the body."""
        while chunk:
            stream = self._open()
            try:
                for piece in stream.expand(chunk, self._piece):
                    if piece:
                        yield piece
            except (zlib.error, zstd.ZstdError) as error:
                raise Broken(str(error)) from None
            chunk = stream.member.unused_data

    def end(self) -> None:
        """Return if the stream has ended where its last member does."""
        if self._stream is None:
            raise Broken("it is empty")
        if not self._stream.member.eof:
            raise Broken("it ends early")

    def _open(self) -> _Gzip | _Zstd:
        """Return the member that is under way, or the next one."""
        if self._stream is None or self._stream.member.eof:
            self._members += 1
            if self._members > _MOST_MEMBERS:
                raise Broken(f"it has more than {_MOST_MEMBERS} parts")
            self._stream = self._opened()
        return self._stream


def inflater(encoding: str, most: int) -> Inflater | None:
    """Return what inflates a body of this content coding (in lower case), None if nothing does."""
    match encoding:
        case "gzip" | "x-gzip":
            return Inflater(_Gzip, most)
        case "zstd":
            return Inflater(_Zstd, most)
        case _:
            return None
