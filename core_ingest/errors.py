"""Infrastructure errors of the heart: what a retry, or somebody's hand, can mend.

    IngestError
    ├── StoreUnavailable    the database is away, overloaded or shutting down: retry the batch
    │   └── NoConnection    it could not be reached at all: says where it was sought, and what to do
    ├── ClockAhead          the edge's clock is ahead of the database's: mend the clock, retry
    └── SchemaOutdated      migrations are pending: run `ingress migrate`

No asyncpg exception leaves `core_ingest.store`. What is wrong with the data is an Outcome.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from prometheus_client import Counter

ERRORS = Counter(
    "core_ingest_database_errors_total",
    "Errors of the database by what they mean: unavailable, contention, data_refused, outdated.",
    ("kind",),
)

UNIQUE_VIOLATION = "23505"


class IngestError(Exception):
    """Base of all errors that the handler raises: the batch was not committed."""


class StoreUnavailable(IngestError):
    """The database cannot take the batch now. Nothing was stored; the same batch may be retried."""


class NoConnection(StoreUnavailable):
    """The way to the database is closed. `found` says why and where, `remedy` what to correct."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}. {remedy}")
        self.found = found
        self.remedy = remedy


class SchemaOutdated(IngestError):
    """The database lacks migrations that this version needs."""


class ClockAhead(IngestError):
    """An edge stamped `receivedtime` further in the future than the skew allows."""

    def __init__(self, publisher: str, ahead_seconds: float, skew_seconds: float) -> None:
        super().__init__(
            f"the clock of publisher {publisher!r} is {ahead_seconds:.1f} s ahead of the database's, "
            f"allowed are {skew_seconds:g} s: set that machine's clock (NTP); nothing was lost"
        )
        self.publisher = publisher
        self.ahead_seconds = ahead_seconds
        self.skew_seconds = skew_seconds


class Contention(Exception):
    """Deadlock or serialization failure (40P01, 40001): run the transaction again."""


class DataRefused(Exception):
    """The database refuses data (SQLSTATE 22, 23): some envelope of the batch is to blame."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


_counters = {
    StoreUnavailable: ERRORS.labels("unavailable"),
    Contention: ERRORS.labels("contention"),
    DataRefused: ERRORS.labels("data_refused"),
    SchemaOutdated: ERRORS.labels("outdated"),
}


@contextmanager
def translated(*, repeated: bool = True) -> Iterator[None]:
    """Turn the driver's exceptions into the ones of this module, once, at the store's boundary.

    Where nobody repeats the transaction on Contention, it is StoreUnavailable: try again later. It
    is counted as contention all the same.
    """
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as error:
        translation = _translation(error)
        _counters[type(translation)].inc()
        if isinstance(translation, Contention) and not repeated:
            translation = StoreUnavailable(str(translation))
        raise translation from error


def _translation(error: Exception) -> Exception:
    match error:
        case asyncpg.PostgresError():
            return _of_sqlstate(error)
        case OSError() | TimeoutError():
            reason = str(error) or "no answer in time"
            return StoreUnavailable(f"the database cannot be reached: {reason}")
        case _:
            return StoreUnavailable(f"connection to the database failed: {error}")


def _of_sqlstate(error: asyncpg.PostgresError) -> Exception:
    sqlstate = getattr(error, "sqlstate", None) or ""
    if sqlstate in {"40P01", "40001"}:
        return Contention(str(error))
    if sqlstate[:2] in {"22", "23"}:
        return DataRefused(sqlstate, str(error))
    if sqlstate in {"42P01", "42703", "42883"}:
        return SchemaOutdated(f"{error}; run `ingress migrate`")
    return StoreUnavailable(f"the database refused ({sqlstate or 'no SQLSTATE'}): {error}")


__all__ = [
    "ClockAhead",
    "Contention",
    "DataRefused",
    "IngestError",
    "NoConnection",
    "SchemaOutdated",
    "StoreUnavailable",
    "translated",
]
