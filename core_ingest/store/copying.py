"""Facts as the body of a binary COPY into `history` (PostgreSQL manual: COPY, Binary Format).

The driver can write records too, but wants a datetime for every instant, takes it apart again, and
asks the database for the columns' types before each COPY: half of what a fact costs in Python.
"""

from collections.abc import AsyncIterator, Iterable
from struct import Struct
from struct import error as StructError  # noqa: N812 — its name is no class's

from core_ingest.decide import Candidate
from core_ingest.errors import DataRefused
from core_ingest.reading import columns

COLUMNS = (
    "workspace", "asset", "signal", "observed", "received", "quality", "num", "lon", "text",
)  # fmt: skip

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_MILLENNIUM = 946_684_800_000_000
"""Postgres counts instants in µs from 2000-01-01 UTC."""

# The number of fields; each field, up to the text, behind its length; the length of the text.
_row = Struct("> h ii ii ii iq iq ih id id i").pack
_INVALID_PARAMETER = "22023"


async def body(facts: Iterable[Candidate]) -> AsyncIterator[bytes]:
    """Yield `facts`, in their order and in one piece, with COLUMNS as columns.

    Raises DataRefused for what no column can hold: an interpreter's defect.
    """
    yield _body(facts)


def _body(facts: Iterable[Candidate]) -> bytes:
    written = bytearray(_HEAD)
    width = len(COLUMNS)
    try:
        for key, observed, received, value, quality, _ in facts:
            workspace, asset, signal = key
            num, lon, text = columns(value)
            raw = text.encode()
            written += _row(
                width,
                4, workspace, 4, asset, 4, signal,
                8, observed - _MILLENNIUM, 8, received - _MILLENNIUM,
                2, quality, 8, num, 8, lon,
                len(raw),
            )  # fmt: skip
            written += raw
    except (StructError, TypeError, ValueError, AttributeError) as error:
        raise DataRefused(_INVALID_PARAMETER, f"a fact has no place in history: {error}") from error
    written += _END
    return bytes(written)
