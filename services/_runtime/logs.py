"""Logs: structlog events, JSON unless a person is watching."""

import logging
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor


def configure(service: str, level: str, *, stream: Any = None) -> None:
    """Send structlog's and the libraries' logs to stderr; `service` stands in every line."""
    stream = stream or sys.stderr

    def add_service(_logger: Any, _method: str, event: EventDict) -> EventDict:
        # Not a context variable: those don't reach the threads that blocking calls run in.
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Local variables are left out of tracebacks: they may hold keys.
    last: list[Processor]
    if stream.isatty():
        last = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        tracebacks = ExceptionDictTransformer(show_locals=False)
        last = [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
        ]
    # Libraries are heard from a warning on: their info lines repeat URLs, which may be signed.
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root.handlers[:] = [handler]
    structlog.contextvars.clear_contextvars()
