"""Logs: structlog events, as JSON unless on a terminal; secrets are hidden, long values cut."""

import logging
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from services._runtime.redaction import excerpt, redact

# In characters. Longer values are cut: data from the network can have any length.
MAX_VALUE_LENGTH = 2000


def configure(service: str, level: str, *, stream: Any = None) -> None:
    """Send structlog's and the libraries' logs to *stream* (stderr), each line with `service`."""
    stream = stream or sys.stderr

    def add_service(_logger: Any, _method: str, event: EventDict) -> EventDict:
        # Not a context variable: the threads of blocking calls do not inherit those.
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks leave out local variables, which may hold keys.
    last: list[Processor]
    if stream.isatty():
        last = [
            _shorten,
            _escape_control_characters,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    else:
        tracebacks = ExceptionDictTransformer(show_locals=False)
        last = [
            structlog.processors.ExceptionRenderer(tracebacks),
            _shorten,
            structlog.processors.JSONRenderer(),
        ]
    # Libraries log from level warning up: their info lines repeat URLs, which may be signed.
    root, own = logging.getLogger(), logging.getLogger(service)
    root.setLevel(logging.WARNING)
    own.setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=lambda *_: own,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *last,
                _redact_line,
            ],
        )
    )
    root.handlers[:] = [handler]
    structlog.contextvars.clear_contextvars()


def _shorten(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {name: _short(value) for name, value in event.items()}


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_VALUE_LENGTH:
        return f"{excerpt(value, MAX_VALUE_LENGTH)}... ({len(value)} characters)"
    if isinstance(value, list):
        return [_short(each) for each in value]
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    return value


def _escape_control_characters(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Escape control characters for the terminal; the JSON renderer does so by itself."""
    return {name: _escaped(value) for name, value in event.items()}


def _escaped(value: Any) -> Any:
    if isinstance(value, str) and not value.isprintable():
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return value


def _redact_line(_logger: Any, _method: str, line: Any) -> Any:
    return redact(line)
