import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import structlog

from ingress_runtime import logs, redact
from ingress_runtime.settings import LogSettings, load


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    libraries = {name: logging.getLogger(name).level for name in (*logs._CHATTY, *logs._TOLD_BY_US)}
    monkeypatch.setattr(redact, "_remembered", set())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in libraries.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def fail(message: str) -> NoReturn:
    raise OSError(message)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_what_a_library_repeats_is_heard_once_a_minute() -> None:
    now = 0.0
    seldom = logs._Seldom(lambda: now)

    def heard(name: str, text: str, *values: object) -> bool:
        return seldom.filter(logging.LogRecord(name, 40, "", 0, text, values, None))

    assert heard("aiokafka", "Unable connect to %s", "kafka-1:9092")
    assert not heard("aiokafka", "Unable connect to %s", "kafka-2:9092")
    assert heard("aiokafka", "another thing")
    assert heard("aiokafka.consumer.fetcher", "Unable connect to %s", "kafka-1:9092")
    assert not heard("aiokafka.consumer.fetcher", "Unable connect to %s", "kafka-1:9092")
    assert heard("opentelemetry.exporter", "Transient error %s", "refused")
    assert not heard("opentelemetry.exporter", "Transient error %s", "reset")
    assert heard("core_consumer", "another thing")
    assert heard("core_consumer", "another thing")
    now = 60.0
    assert heard("aiokafka", "Unable connect to %s", "kafka-1:9092")


def test_a_setting_whose_prefix_is_misspelt_is_the_first_line_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGRES_LOG_LEVEL", "debug")
    monkeypatch.setenv("INGRESS_LOG_FORMAT", "json")
    (settings,) = load(LogSettings)
    logs.configure(settings)
    logs.configure(settings)
    (event,) = lines(capsys)
    assert (event["event"], event["level"]) == ("setting_unread", "warning")
    assert (event["variable"], event["did_you_mean"]) == ("INGRES_LOG_LEVEL", "INGRESS_LOG_LEVEL")


def test_an_event_is_one_json_object_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    structlog.get_logger("room").info("batch_acknowledged", envelopes=3)
    (event,) = lines(capsys)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "batch_acknowledged",
        "envelopes": 3,
        "level": "info",
        "logger": "room",
    }


def test_the_console_format_is_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings())
    structlog.get_logger().info("stream_connected", url="wss://h/live?apiKey=s3cret")
    err = capsys.readouterr().err
    assert "stream_connected" in err
    assert "apiKey=***" in err
    assert "s3cret" not in err


def test_people_read_whose_it_is_then_what_happened_then_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogSettings())
    log = structlog.get_logger().bind(workspace="acme", transport="http")
    log.warning("transport_away", error="gone", consequence="frames wait", remedy="wait")
    line = capsys.readouterr().err
    said = ["transport_away", "workspace=", "transport=", "error=", "consequence=", "remedy="]
    places = [line.index(part) for part in said]
    assert places == sorted(places)


def test_levels_below_the_setting_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json", level="warning"))
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    assert lines(capsys) == []


def test_configuring_again_replaces_and_does_not_double(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogSettings())
    logs.configure(LogSettings(format="json"))
    structlog.get_logger().info("once")
    assert [event["event"] for event in lines(capsys)] == ["once"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_exception_is_logged_with_its_secrets_hidden(
    capsys: pytest.CaptureFixture[str], style: Any
) -> None:
    logs.configure(LogSettings(format=style))
    try:
        fail("cannot reach wss://user:pw@h/live?apiKey=s3cret")
    except OSError:
        structlog.get_logger().exception("stream_failed")
    err = capsys.readouterr().err
    assert "OSError" in err
    assert "apiKey=***" in err
    assert "s3cret" not in err
    assert "user:pw" not in err


def test_records_of_libraries_take_the_same_road(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    logging.getLogger("library").warning("GET %s", "/live?apiKey=s3cret")
    try:
        fail("/live?apiKey=s3cret")
    except OSError:
        logging.getLogger("library").exception("failed")
    warned, failed = lines(capsys)
    assert warned["event"] == "GET /live?apiKey=***"
    assert warned["logger"] == "library"
    assert "OSError: /live?apiKey=***" in failed["exception"]


def test_libraries_that_chat_for_each_request_are_heard_at_debug_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogSettings(format="json"))
    logging.getLogger("httpx").info("HTTP Request")
    assert lines(capsys) == []
    logs.configure(LogSettings(format="json", level="debug"))
    logging.getLogger("httpx").info("HTTP Request")
    assert len(lines(capsys)) == 1


def test_reconnections_of_the_pool_are_heard_at_debug_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogSettings(format="json"))
    logging.getLogger("asyncpg.pool").warning("Failed to restore the pool connection floor")
    assert lines(capsys) == []
    logs.configure(LogSettings(format="json", level="debug"))
    logging.getLogger("asyncpg.pool").warning("Failed to restore the pool connection floor")
    assert len(lines(capsys)) == 1


def test_an_uncaught_exception_is_an_event_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    error = RuntimeError("/live?apiKey=s3cret")
    sys.excepthook(RuntimeError, error, None)
    (event,) = lines(capsys)
    assert event["event"] == "process_failed"
    assert "apiKey=***" in event["exception"]


def test_an_uncaught_exception_of_a_thread_is_an_event_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogSettings(format="json"))

    thread = threading.Thread(target=fail, args=["/live?apiKey=s3cret"], name="scraper")
    thread.start()
    thread.join()
    (event,) = lines(capsys)
    assert (event["event"], event["thread"]) == ("thread_failed", "scraper")
    assert "apiKey=***" in event["exception"]


def test_a_value_under_a_secret_name_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    structlog.get_logger().info("key_made", api_key="abc", token="def", sequence=7)  # noqa: S106 — made up
    (event,) = lines(capsys)
    assert (event["api_key"], event["token"], event["sequence"]) == ("***", "***", 7)
