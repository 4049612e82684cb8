import asyncio
from collections.abc import Callable

import asyncpg
import pytest
from asyncpg import exceptions
from prometheus_client import REGISTRY
from pydantic import SecretStr, ValidationError

from core_ingest.errors import (
    ClockAhead,
    Contention,
    DataRefused,
    IngestError,
    NoConnection,
    SchemaOutdated,
    StoreUnavailable,
    translated,
)
from core_ingest.store.database import DatabaseSettings, place, reaching

URL = "postgresql://core:hunter2@db.example:5433/core"

BY_SQLSTATE = [
    ("40P01", Contention),
    ("40001", Contention),
    ("22003", DataRefused),
    ("22P05", DataRefused),
    ("22021", DataRefused),
    ("23502", DataRefused),
    ("23503", DataRefused),
    ("23505", DataRefused),
    ("23514", DataRefused),
    ("42P01", SchemaOutdated),
    ("42703", SchemaOutdated),
    ("42883", SchemaOutdated),
    ("08003", StoreUnavailable),
    ("08006", StoreUnavailable),
    ("25006", StoreUnavailable),
    ("28P01", StoreUnavailable),
    ("3D000", StoreUnavailable),
    ("40003", StoreUnavailable),
    ("53100", StoreUnavailable),
    ("53300", StoreUnavailable),
    ("55P03", StoreUnavailable),
    ("57014", StoreUnavailable),
    ("57P01", StoreUnavailable),
    ("57P03", StoreUnavailable),
    ("58030", StoreUnavailable),
    ("XX000", StoreUnavailable),
]


def counted() -> dict[str, float]:
    name = "core_ingest_database_errors_total"
    kinds = ("unavailable", "contention", "data_refused", "outdated")
    return {kind: REGISTRY.get_sample_value(name, {"kind": kind}) or 0.0 for kind in kinds}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.PostgresError.new({"C": "40P01", "M": ""}), "contention"),
        (asyncpg.PostgresError.new({"C": "23505", "M": ""}), "data_refused"),
        (asyncpg.PostgresError.new({"C": "42P01", "M": ""}), "outdated"),
        (asyncpg.PostgresError.new({"C": "57P01", "M": ""}), "unavailable"),
        (asyncpg.InterfaceError("pool is closing"), "unavailable"),
        (TimeoutError(), "unavailable"),
    ],
)
@pytest.mark.parametrize("repeated", [True, False])
def test_error_is_counted_once_however_many_boundaries_it_passes(
    error: Exception, kind: str, repeated: bool
) -> None:
    before = counted()

    with (
        pytest.raises((IngestError, Contention, DataRefused)),
        translated(repeated=repeated),
        translated(repeated=repeated),
    ):
        raise error

    assert counted() == before | {kind: before[kind] + 1}


@pytest.mark.parametrize(("sqlstate", "expected"), BY_SQLSTATE)
def test_error_of_the_database_is_named_by_what_can_be_done(
    sqlstate: str, expected: type[Exception]
) -> None:
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "it went wrong"})

    with pytest.raises(expected, match="it went wrong") as raised, translated():
        raise error

    assert type(raised.value) is expected
    assert raised.value.__cause__ is error


def test_refused_data_keep_their_sqlstate() -> None:
    with pytest.raises(DataRefused) as raised, translated():
        raise exceptions.CheckViolationError("no")

    assert raised.value.sqlstate == "23514"


@pytest.mark.parametrize(
    "make",
    [
        lambda: asyncpg.InterfaceError("pool is closed"),
        lambda: asyncpg.InternalClientError("lost the thread"),
        lambda: ConnectionRefusedError("refused"),
        lambda: OSError("no route to host"),
        TimeoutError,
        lambda: exceptions.ConnectionDoesNotExistError("connection was closed"),
    ],
)
def test_connection_that_fails_is_an_unavailable_store(make: Callable[[], Exception]) -> None:
    with pytest.raises(StoreUnavailable), translated():
        raise make()


@pytest.mark.parametrize(
    ("error", "found", "remedy"),
    [
        (
            exceptions.InvalidPasswordError('password authentication failed for user "core"'),
            "the database refused (28P01): password authentication failed",
            "Correct user and password in INGRESS_DATABASE_URL, where @ : / #",
        ),
        (
            exceptions.InvalidCatalogNameError('database "core" does not exist'),
            "the database refused (3D000)",
            "Correct the database's name in INGRESS_DATABASE_URL, or create it.",
        ),
        (
            exceptions.TooManyConnectionsError("sorry, too many clients already"),
            "the database refused (53300): sorry",
            "Mend what it speaks of",
        ),
        (
            ConnectionRefusedError(111, "refused"),
            "the database cannot be reached: [Errno 111] refused",
            "Start it, or correct host and port in INGRESS_DATABASE_URL.",
        ),
        (TimeoutError(), "no answer in time", "Start it, or correct host and port"),
        (asyncpg.ClientConfigurationError("`sslmode`"), "sslmode", "Correct INGRESS_DATABASE_URL."),
    ],
)
def test_closed_way_to_the_database_says_where_it_was_tried_and_what_to_correct(
    error: Exception, found: str, remedy: str
) -> None:
    with pytest.raises(NoConnection) as raised, reaching(URL):
        raise error

    assert found in raised.value.found
    assert raised.value.found.endswith("(tried db.example:5433)")
    assert raised.value.remedy.startswith(remedy)
    assert "batch" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://core@localhost/core", "localhost:5432"),
        ("postgres://core:p:w%40x@[::1]:6000/core?sslmode=require", "[::1]:6000"),
        ("postgresql://core@one:1,two/core", "one:1,two:5432"),
        ("postgresql:///core?host=/run/postgresql&user=me@server", "/run/postgresql"),
        ("postgresql:///core?host=db&port=6000", "db:6000"),
        ("postgresql://", "localhost:5432"),
    ],
)
def test_url_of_a_database_is_read_as_the_driver_reads_it(url: str, expected: str) -> None:
    assert DatabaseSettings(url=SecretStr(url)).url.get_secret_value() == url
    assert place(url) == expected


@pytest.mark.parametrize("character", ["@", "/", "#", "?", "[", "]", "\u2100"])
@pytest.mark.parametrize("before", ["hunter", "2"])
def test_character_that_would_end_a_password_is_refused_without_a_part_of_it(
    before: str, character: str
) -> None:
    url = f"postgresql://core:{before}{character}x=hunter2@localhost:5432/core"

    with pytest.raises(ValidationError) as raised:
        DatabaseSettings(url=SecretStr(url))

    (error,) = raised.value.errors(include_context=False, include_input=False, include_url=False)
    assert "percent-encode `@ : / # ?" in error["msg"]
    assert "hunter" not in error["msg"]


def test_outdated_schema_says_what_to_run() -> None:
    with pytest.raises(SchemaOutdated, match="ingress migrate"), translated():
        raise exceptions.UndefinedTableError("relation history does not exist")


@pytest.mark.parametrize("error", [KeyError("ours"), asyncio.CancelledError()])
def test_what_is_no_trouble_of_the_database_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), translated():
        raise error


def test_only_what_a_retry_or_a_hand_can_mend_is_an_ingest_error() -> None:
    assert issubclass(StoreUnavailable, IngestError)
    assert issubclass(SchemaOutdated, IngestError)
    assert issubclass(ClockAhead, IngestError)
    assert not issubclass(Contention, IngestError)
    assert not issubclass(DataRefused, IngestError)


def test_clock_ahead_names_publisher_lead_and_limit() -> None:
    error = ClockAhead("edge-1", 412.34, 300)

    assert (error.ahead_seconds, error.skew_seconds) == (412.34, 300)
    assert "'edge-1' is 412.3 s ahead" in str(error)
    assert "allowed are 300 s" in str(error)
    assert "nothing was lost" in str(error)
