"""Logs are events: a snake_case name and bound context, one line each, on stderr.

Use `structlog.get_logger()`. Records of libraries that speak the standard library's `logging` take
the same road, and so do exceptions that nobody caught: every line passes the redaction.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from ingress_runtime.redact import redact_field
from ingress_runtime.settings import LogSettings, take_misspelt
from ingress_runtime.tracing import name_trace

_CHATTY = ("httpcore", "httpx", "uvicorn.access", "websockets")
"""Libraries that write a line for each request or frame; heard only at level debug."""

_TOLD_BY_US = ("asyncpg.pool",)
"""Libraries that repeat with a traceback what we tell in a line; heard only at level debug."""

_REPEATING = ("aiokafka", "opentelemetry")
"""Libraries that tell of each of many attempts; each thing is heard once a minute."""

_SELDOM_SECONDS = 60.0


def configure(settings: LogSettings) -> None:
    """Send all logs of this process to stderr as `settings` say. Calling it again reconfigures.

    The first lines are of variables that look like misspelt settings, if there are any.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        name_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Stderr()
    if level > logging.DEBUG:
        handler.addFilter(_Seldom())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                _renderer(settings),
            ],
        )
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Stderr)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(level if level == logging.DEBUG else logging.WARNING)
    for name in _TOLD_BY_US:
        logging.getLogger(name).setLevel(level if level == logging.DEBUG else logging.ERROR)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    for name, near in take_misspelt():
        structlog.get_logger().warning("setting_unread", variable=name, did_you_mean=near)


def redact_event(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Hide secrets in every value of `event`, its exception's text included (a processor)."""
    return {name: redact_field(name, value) for name, value in event.items()}


class _Stderr(logging.StreamHandler[TextIO]):
    """The one handler that `configure` owns, told apart from those of a test runner."""


class _Seldom(logging.Filter):
    """Lets what repeats itself pass once in a while, by the text before its arguments."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._due: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _REPEATING:
            return True
        now, thing = self._clock(), (record.name, str(record.msg))
        if now < self._due.get(thing, now):
            return False
        self._due[thing] = now + _SELDOM_SECONDS
        return True


def _renderer(settings: LogSettings) -> Processor:
    if settings.format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,  # whose it is, what happened, what follows, what to do: in that order
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process_failed", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    structlog.get_logger().critical(
        "thread_failed",
        thread=args.thread.name if args.thread else None,
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )
