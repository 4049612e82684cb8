import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import structlog

from ingress_runtime import logs, redact
from ingress_runtime.settings import LogSettings


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    libraries = {name: logging.getLogger(name).level for name in logs._CHATTY}
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
