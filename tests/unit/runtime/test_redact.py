from pathlib import Path
from uuid import UUID

import pytest

from ingress_runtime import redact


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_remembered", set())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://h/api/v2/live?apiKey=s3cret", "wss://h/api/v2/live?apiKey=***"),
        ("https://h/x?a=1&b=2#top", "https://h/x?a=***&b=***#top"),
        (
            "postgresql://user:pa:ss@h:5432/db?sslmode=require",
            "postgresql://user:***@h:5432/db?sslmode=***",
        ),
        ("redis://:s3cret@h", "redis://:***@h"),
        ("https://h:8080/plain", "https://h:8080/plain"),
        ("/api/v2/live?apiKey=s3cret", "/api/v2/live?apiKey=***"),
    ],
)
def test_a_url_loses_query_values_and_password(url: str, shown: str) -> None:
    assert redact.redact_url(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('GET /live?apiKey=s3cret HTTP/1.1"', 'GET /live?apiKey=*** HTTP/1.1"'),
        (
            "server rejected wss://h/live?apiKey=s3cret, HTTP 401",
            "server rejected wss://h/live?apiKey=*** HTTP 401",
        ),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("x-api-key: s3cret", "x-api-key: ***"),
        ("{'x-api-key': 's3cret', 'a': 'b'}", "{'x-api-key': '***', 'a': 'b'}"),
        ("why? x = 3 & y", "why? x = 3 & y"),
    ],
)
def test_credentials_are_hidden_within_prose(text: str, shown: str) -> None:
    assert redact.redact_text(text) == shown


def test_a_remembered_secret_is_hidden_wherever_it_appears() -> None:
    redact.remember("s3cret/key")
    assert redact.redact_text("got s3cret/key and s3cret%2Fkey") == "got *** and ***"


def test_a_remembered_urls_password_is_hidden_on_its_own() -> None:
    redact.remember("postgresql://user:hunter2@h/db")
    assert redact.redact_text("password hunter2 refused") == "password *** refused"


@pytest.mark.parametrize("url", ["postgresql://u:hun[ter2@h/db", "postgresql://u:hun\u2100r2@h/db"])
def test_a_url_that_cannot_be_read_is_hidden_all_the_same(url: str) -> None:
    redact.remember(url)
    assert redact.redact_text(f"cannot read {url}") == "cannot read ***"


def test_a_very_short_secret_does_not_blot_out_words() -> None:
    redact.remember("e")
    assert redact.redact_text("peace") == "peace"


def test_values_are_redacted_to_the_bottom() -> None:
    value = {"api_key": "k", "list": ["/x?k=v", 1], "raw": b"/x?k=v", "deep": {"token": "t"}}
    assert redact.redact_value(value) == {
        "api_key": "***",
        "list": ["/x?k=***", 1],
        "raw": "/x?k=***",
        "deep": {"token": "***"},
    }


def test_numbers_stay_numbers_and_objects_become_text() -> None:
    identity = UUID(int=7)
    assert redact.redact_value([True, 1, 1.5, None]) == [True, 1, 1.5, None]
    assert redact.redact_value((identity, Path("a/b"))) == [str(identity), "a/b"]


@pytest.mark.parametrize("name", ["partition_key", "tokens", "monkey"])
def test_names_that_only_sound_secret_are_shown(name: str) -> None:
    assert redact.redact_field(name, "v") == "v"
